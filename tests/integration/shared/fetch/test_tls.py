"""Rule 11: certificates are checked against the name although an address is dialled."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.outbound.transport import (
    TlsFailure,
)
from tests.integration.shared.fetch.raw_server import (
    Answers,
    Site,
    answering,
    fetching,
    ok,
    serving,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of host.example, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host.example")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("host.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "host.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_the_certificate_is_checked_against_the_name_though_an_address_is_dialled(certificate: Path) -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    asked: list[str] = []
    server_side.sni_callback = lambda sock, name, context: asked.append(name or "")
    trusting = ssl.create_default_context(cafile=str(certificate))
    resolver = Answers(host_example=[("127.0.0.1",)], other_example=[("127.0.0.1",)])
    async with serving(answering(ok(b"secret")), tls=server_side) as site:
        async with fetching(site, resolver=resolver, tls=trusting) as fetcher:
            posted = await fetcher.post(f"https://host.example:{site.port}/", b"x", {})
            assert (posted.status, posted.address) == (200, site.endpoint)
            assert asked == ["host.example"]
            with pytest.raises(TlsFailure):
                await fetcher.post(f"https://other.example:{site.port}/", b"x", {})
        async with fetching(site, resolver=resolver) as fetcher:
            with pytest.raises(TlsFailure):
                await fetcher.get(f"https://host.example:{site.port}/")
    assert len(site.requests) == 1


async def test_no_tls_behind_https_is_a_tls_failure() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        site = Site("127.0.0.1", server.sockets[0].getsockname()[1])
        async with fetching(site) as fetcher:
            with pytest.raises(TlsFailure):
                await fetcher.get(f"https://127.0.0.1:{site.port}/", timeout_seconds=5)
