"""Keys derived from the one root key by HKDF (RFC 5869, SHA-256). The same root key in all services."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from shared.errors import BadSettings

# `cryptography` is imported where it is used: a command that only hashes a key's secret loads none of it.

ROOT_KEY_BYTES = 32


class OtherRootKey(BadSettings):
    """This was sealed with another root key: restore that key. Hosts' secrets can be imported again with the directory; the words of cases
    cannot be read without it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeyRing:
    """`fingerprint_ref`: HMAC key of fingerprint digests. `demand_token`: of demand tokens. `host_secrets`: AES-256-GCM at rest.
    `reported_by`: HMAC key of what stands for an API key in events. `case_words`: AES-256-GCM of what is written in cases.
    `ended_cases`: HMAC key of what is kept of a case's reference."""

    fingerprint_ref: bytes
    demand_token: bytes
    host_secrets: bytes
    idempotency: bytes
    reported_by: bytes
    case_words: bytes
    ended_cases: bytes

    @classmethod
    def from_root(cls, root_key: bytes) -> KeyRing:
        """Raises BadSettings unless `root_key` is 32 bytes."""
        if len(root_key) != ROOT_KEY_BYTES:
            raise BadSettings(f"TAKEDOWN_ROOT_KEY must have {ROOT_KEY_BYTES} bytes, and has {len(root_key)}.")

        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        def derive(purpose: str) -> bytes:
            return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"takedown:{purpose}".encode()).derive(
                root_key
            )

        return cls(
            fingerprint_ref=derive("fingerprint-ref"),
            demand_token=derive("demand-token"),
            host_secrets=derive("host-secrets"),
            idempotency=derive("idempotency"),
            reported_by=derive("reported-by"),
            case_words=derive("case-words"),
            ended_cases=derive("ended-cases"),
        )

    def token_of(self, demand_id: UUID) -> str:
        """The capability token of a demand: HMAC-SHA-256, base64url without padding. Recomputed for each attempt, never stored."""
        digest = hmac.new(self.demand_token, str(demand_id).encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def reported_by_of(self, key_id: UUID) -> str:
        """What stands for an API key in events: the first 8 bytes of HMAC-SHA-256 over its id, in hex. It tells keys apart, and nobody
        without the root key whose they are."""
        return hmac.new(self.reported_by, str(key_id).encode(), hashlib.sha256).digest()[:8].hex()

    def seal(self, secret: str, *, purpose: str) -> bytes:
        """Encrypt a host's secret for a table. `purpose` (e.g. the recipient's key) is bound to it."""
        return _sealed(self.host_secrets, secret, purpose)

    def unseal(self, sealed: bytes, *, purpose: str) -> str:
        """The secret that was sealed. Raises OtherRootKey, also when the row was changed."""
        return _unsealed(self.host_secrets, sealed, purpose)

    def seal_words(self, words: str, case_id: UUID) -> bytes:
        """Encrypt what is written in a case for its row, to which it is bound."""
        return _sealed(self.case_words, words, str(case_id))

    def unseal_words(self, sealed: bytes, case_id: UUID) -> str:
        """The words that were sealed. Raises OtherRootKey, also when they are another row's."""
        return _unsealed(self.case_words, sealed, str(case_id))

    def ended_case_of(self, organisation_id: str, case_ref: str) -> bytes:
        """What is kept of a case's reference: HMAC-SHA-256. Who asks for one they know is answered; nobody reads one out of it."""
        return hmac.new(self.ended_cases, f"{organisation_id}\n{case_ref}".encode(), hashlib.sha256).digest()


def _sealed(key: bytes, text: str, bound_to: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, text.encode(), bound_to.encode())


def _unsealed(key: bytes, sealed: bytes, bound_to: str) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound_to.encode()).decode()
    except InvalidTag:
        raise OtherRootKey() from None


def token_hash(token: str) -> bytes:
    """The SHA-256 of a token, which is all that tables keep of it."""
    return hashlib.sha256(token.encode()).digest()


def parse_root_key(text: str) -> bytes:
    """32 bytes from hex or base64. Raises BadSettings."""
    text = text.strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * ROOT_KEY_BYTES else base64.b64decode(text, validate=True)
    except ValueError:
        raise BadSettings(
            f"TAKEDOWN_ROOT_KEY must be {ROOT_KEY_BYTES} bytes written as hexadecimal or base64."
        ) from None
    if len(key) != ROOT_KEY_BYTES:
        raise BadSettings(f"TAKEDOWN_ROOT_KEY must have {ROOT_KEY_BYTES} bytes, and has {len(key)}.")
    return key


def read_root_key(setting: str | None, data_dir: Path, *, create: bool) -> bytes:
    """The root key of the setting, else of `root.key` (0600) in the data directory, made there when `create`.

    Raises BadSettings: neither is there, or the file can be read by others.
    """
    if setting is not None:
        return parse_root_key(setting)
    path = data_dir / "root.key"
    if not path.exists():
        if not create:
            raise BadSettings(
                f"TAKEDOWN_ROOT_KEY is not set, and there is no file {path}. `takedown serve` makes that file;"
                " a service on its own needs the same key as the others."
            )
        data_dir.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"root.key.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_bytes(ROOT_KEY_BYTES).hex())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # never over an existing key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    if path.stat().st_mode & 0o077:
        raise BadSettings(f"Other accounts can read {path}. Run `chmod 600 {path}`.")
    return parse_root_key(path.read_text())
