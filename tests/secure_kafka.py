"""A local Kafka that asks who we are: a listener with TLS and one without, both with PLAIN and SCRAM."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from ipaddress import IPv4Address
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int8, Int16, Int32, Schema, TaggedFields
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.log.kafka.local import LocalKafka, start_kafka

USER = "takedown"
PLAIN, SCRAM_256, SCRAM_512 = MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
ROUNDS = 4096
"""The fewest that Kafka takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureKafka:
    """`kafka`: its listener in the clear asks nobody, as the launcher needs it."""

    kafka: LocalKafka
    encrypted: str
    clear: str
    ca_file: Path
    password: str

    def environment(self, mechanism: str, *, tls: bool = True, **changes: str) -> dict[str, str]:
        """The settings of a service."""
        secured = {"TAKEDOWN_KAFKA_TLS": "true", "TAKEDOWN_KAFKA_CA_FILE": str(self.ca_file)}
        return {
            "TAKEDOWN_LOG": "kafka",
            "TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": self.encrypted if tls else self.clear,
            "TAKEDOWN_KAFKA_SASL": mechanism,
            "TAKEDOWN_KAFKA_USERNAME": USER,
            "TAKEDOWN_KAFKA_PASSWORD": self.password,
            **(secured if tls else {}),
            **changes,
        }


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    broker, controller, encrypted, clear = _free_ports(4)
    password = secrets.token_urlsafe(12)
    ca_file, keystore = _certificates(folder)
    addresses = {"PLAINTEXT": broker, "ENCRYPTED": encrypted, "CLEAR": clear}
    told = ",".join(f"{name}://127.0.0.1:{port}" for name, port in addresses.items())
    properties = {
        "listeners": f"{told},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": told,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,ENCRYPTED:SASL_SSL,CLEAR:SASL_PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.name.encrypted.ssl.keystore.type": "PEM",
        "listener.name.encrypted.ssl.keystore.location": str(keystore),
    }
    modules = "org.apache.kafka.common.security"
    for name in ("encrypted", "clear"):
        place = f"listener.name.{name}"
        properties[f"{place}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS if name == "encrypted" else (SCRAM_512,))
        properties[f"{place}.plain.sasl.jaas.config"] = (
            f'{modules}.plain.PlainLoginModule required user_{USER}="{password}";'
        )
        for scram in ("scram-sha-256", "scram-sha-512"):
            properties[f"{place}.{scram}.sasl.jaas.config"] = f"{modules}.scram.ScramLoginModule required;"
    with ExitStack() as stack:
        kafka = stack.enter_context(start_kafka(data_dir=folder / "kafka", port=broker, properties=properties))
        asyncio.run(_know_user(kafka.bootstrap_servers, password))
        yield SecureKafka(
            kafka=kafka,
            encrypted=f"127.0.0.1:{encrypted}",
            clear=f"127.0.0.1:{clear}",
            ca_file=ca_file,
            password=password,
        )


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Who signs (PEM), and the broker's key with its certificate (PEM)."""
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def certificate(name: x509.Name, public: ec.EllipticCurvePublicKey, *more: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(ca_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=2))
        for one in more:
            builder = builder.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
        return builder.sign(ca_key, hashes.SHA256())

    ca = certificate(ca_name, ca_key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    broker_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    broker = certificate(broker_name, key.public_key(), names)
    pem = serialization.Encoding.PEM
    ca_file, keystore = folder / "ca.pem", folder / "broker.pem"
    ca_file.write_bytes(ca.public_bytes(pem))
    ca_file.chmod(0o644)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    keystore.write_bytes(private + broker.public_bytes(pem))
    return ca_file, keystore


async def _know_user(bootstrap_servers: str, password: str) -> None:
    """What `kafka-configs.sh --alter --add-config 'SCRAM-SHA-512=[password=…]'` does (KIP-554)."""
    credentials: list[tuple[object, ...]] = []
    for number, digest in ((1, "sha256"), (2, "sha512")):
        salt = secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, ROUNDS)
        credentials.append((USER, number, ROUNDS, salt, salted, {}))
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await client.start()
    try:
        for one in credentials:
            response = await client._send_request(_AlterScram([one]))  # it has no public way
            assert [result[1] for result in response.results] == [0], response
    finally:
        await client.close()


class _CompactBytes(AbstractType):  # type: ignore[misc]  # aiokafka ships no types
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return bytes([len(value) + 1]) + value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(data.read(1)[0] - 1)


class _AlterScramResponseV0(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScramRequestV0(RequestStruct):  # type: ignore[misc]  # aiokafka ships no types
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _AlterScramResponseV0
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", _CompactBytes),
                ("salted_password", _CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(Request[_AlterScramRequestV0]):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 51

    def __init__(self, credentials: list[tuple[object, ...]]) -> None:
        self._credentials = credentials

    def build(self, request_struct_class: type[_AlterScramRequestV0]) -> _AlterScramRequestV0:
        return request_struct_class([], self._credentials, {})
