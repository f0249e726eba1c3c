"""How the brokers are reached: addresses, TLS, and who we are there (SASL). One value, which every client takes its settings from."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn

from shared.errors import BadSettings
from shared.log.port import LogRefusesUs

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
ASKED_WITHIN_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """A user name and password for the brokers, and the SASL mechanism (RFC 4616, RFC 5802)."""

    mechanism: Mechanism
    username: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KafkaAccess:
    """`bootstrap_servers`: host:port[,host:port]. `tls` None: in the clear. `certificate`: TLS shows one of ours, too."""

    bootstrap_servers: str
    tls: ssl.SSLContext | None = None
    certificate: bool = False
    credentials: Credentials | None = None

    @classmethod
    def of(cls, access: KafkaAccess | str) -> KafkaAccess:
        """An access to these addresses in the clear; an access as it is."""
        return cls(bootstrap_servers=access) if isinstance(access, str) else access

    @property
    def client_settings(self) -> dict[str, object]:
        """The arguments with which each of aiokafka's clients is made."""
        return {"bootstrap_servers": self.bootstrap_servers, **self._connection_settings}

    @property
    def _connection_settings(self) -> dict[str, object]:
        sasl, tls = self.credentials, self.tls
        protocol = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
        settings: dict[str, object] = {"security_protocol": protocol, "ssl_context": tls}
        if sasl is not None:
            settings["sasl_mechanism"] = sasl.mechanism
            settings["sasl_plain_username"] = sasl.username
            settings["sasl_plain_password"] = sasl.password
        return settings

    @property
    def on_this_machine(self) -> bool:
        return all(_is_loopback(host) for host, _, _ in collect_hosts(self.bootstrap_servers))

    @property
    def open_to(self) -> tuple[str, ...]:
        """What anybody on the network can do, a word each; nothing where the brokers are on this machine alone."""
        if self.on_this_machine:
            return ()
        unknown = () if self.credentials or self.certificate else ("unauthenticated",)
        return (*unknown, *(() if self.tls else ("unencrypted",)))

    async def why_refused(self) -> LogRefusesUs | None:
        """Why a broker that answers refuses us; None: it does not. aiokafka says only that none could be reached."""
        for host, port, _ in collect_hosts(self.bootstrap_servers):
            try:
                connection = await create_conn(
                    host, port, request_timeout_ms=ASKED_WITHIN_MS, **self._connection_settings
                )
            except (TimeoutError, errors.KafkaError, OSError) as error:
                refused = _in_words(error, self)
                if refused is not None:
                    return refused
            else:
                connection.close()
        return None


def read_tls(*, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's name and certificate checked against `ca_file` (None: the system's). Raises BadSettings."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl's are among them
        raise BadSettings(f"TAKEDOWN_KAFKA_CA_FILE names {ca_file}, which cannot be used: {_reason(error)}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            raise BadSettings(
                f"TAKEDOWN_KAFKA_CERT_FILE names {cert_file}, which cannot be used with its key"
                f" (TAKEDOWN_KAFKA_KEY_FILE): {_reason(error)}. Both are PEM files, and the key has no password."
            ) from None
    return context


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_words(error: BaseException, access: KafkaAccess) -> LogRefusesUs | None:
    """The reason of a refusal in our words, never the error's own text: a broker may quote what it was sent."""
    mechanism = access.credentials.mechanism if access.credentials else ""
    match error:
        case errors.AuthenticationFailedError() | errors.SaslAuthenticationFailed():
            return LogRefusesUs(
                "The broker takes neither the user nor the password: check TAKEDOWN_KAFKA_USERNAME, TAKEDOWN_KAFKA_PASSWORD"
                f" and that this user is known to it for {mechanism}."
            )
        case errors.UnsupportedSaslMechanismError() | errors.IllegalSaslStateError():
            return LogRefusesUs(
                f"The broker does not take {mechanism} at this address: check TAKEDOWN_KAFKA_SASL and the port."
            )
        case ssl.SSLCertVerificationError():
            return LogRefusesUs(
                f"The broker's certificate is not trusted ({error.verify_message.rstrip('.')}): check TAKEDOWN_KAFKA_CA_FILE"
                " and the broker's name in TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS."
            )
        case ssl.SSLError() | ConnectionResetError() | ConnectionAbortedError() if access.tls is not None:
            return LogRefusesUs(
                "No TLS connection could be made with the broker: check TAKEDOWN_KAFKA_TLS, the port, and whether it wants"
                " a certificate (TAKEDOWN_KAFKA_CERT_FILE)."
            )
    # aiokafka wraps what the connection met.
    return None if error.__cause__ is None else _in_words(error.__cause__, access)
