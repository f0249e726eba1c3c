"""A small internet for the browser's looks: sites that answer as they like on loopback, known by a static table alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.media.browser.browser import Browser
from shared.media.browser.look import BrowserLimits, BrowserLook, DrawnPicture, PictureKind
from shared.media.browser.process import BrowserProgram
from shared.media.browser.program import find_chromium
from shared.media.fingerprinter import Fingerprinter, Undecodable
from shared.media.fingerprints import Orientation, hamming
from shared.outbound.guard import AddressGuard, Resolver
from tests.notifier_world import picture

DATA = Path(__file__).parents[1] / "data" / "browser"
SOUGHT = picture(1, size=(480, 360))
"""The picture that is looked for."""
OTHER = picture(2, size=(480, 360))
AGREES = 31

Answer = bytes | Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    secure: bool

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


@dataclass(slots=True)
class Internet:
    """`answers`: (host, path) → the raw answer, or who writes it. What is not there is 404."""

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    browser: Browser = field(init=False)
    guard: AddressGuard = field(init=False)

    def put(self, path: str, answer: Answer, *, host: str = "site.test") -> str:
        self.answers[host, path] = answer
        return f"http://{host}{path}"

    def page(self, path: str, body: str, *headers: str, host: str = "site.test", status: str = "200 OK") -> str:
        whole = body if "<html" in body or "<!doctype" in body.lower() else f"<!doctype html><meta charset=utf-8>{body}"
        return self.put(path, answer(whole.encode(), "text/html; charset=utf-8", *headers, status=status), host=host)

    def paths(self, host: str = "site.test") -> list[str]:
        return [asked.path for asked in self.asked if asked.host == host]


def answer(body: bytes, content_type: str = "image/png", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(to: str, status: str = "302 Found") -> bytes:
    return f"HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def needs_chromium() -> BrowserProgram:
    """Fails without Chromium under CI, where it must be there; skips elsewhere."""
    path = find_chromium()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium; under CI it must be there")
        pytest.skip("no chromium here")
    return BrowserProgram(path=path)


@asynccontextmanager
async def open_internet(
    *hosts: str, limits: BrowserLimits | None = None, resolver: Resolver | None = None
) -> AsyncIterator[Internet]:
    """`site.test`, `cdn.test`, `other.test` and these, in the clear and by TLS at one address, and a browser to look with."""
    program = needs_chromium()
    internet = Internet()
    certificate, key = _certificate("site.test", "cdn.test", "other.test", *hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, certificate, key)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(connection: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _serve(internet, context, connection)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)

    listener = socket.create_server(("127.0.1.77", 0), backlog=500)
    listener.setblocking(False)
    pair = listener.getsockname()[:2]
    accepting = asyncio.create_task(_accept(listener, serve))
    guard = AddressGuard(
        allow=[pair],
        static_hosts=dict.fromkeys(("site.test", "cdn.test", "other.test", *hosts), pair),
        allow_static_hosts=True,
        resolver=resolver,
    )
    internet.guard = guard
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    trusted = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    program = BrowserProgram(path=program.path, trusted_keys=(trusted,))
    internet.put("/sought.png", answer(SOUGHT))
    internet.put("/sought.png", answer(SOUGHT), host="cdn.test")
    internet.put("/other.png", answer(OTHER))
    for name, kind in (("film.webm", "video/webm"), ("film.mp4", "video/mp4")):
        internet.put(f"/{name}", _ranges((DATA / name).read_bytes(), kind))
    try:
        async with Browser(program, guard, limits=limits) as internet.browser:
            yield internet
    finally:
        for task in (accepting, *tasks):
            task.cancel()
        await asyncio.gather(accepting, *tasks, return_exceptions=True)
        listener.close()


async def _accept(listener: socket.socket, serve: Callable[[socket.socket], Coroutine[None, None, None]]) -> None:
    loop = asyncio.get_running_loop()
    served = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        task = asyncio.create_task(serve(connection))
        served.add(task)
        task.add_done_callback(served.discard)


async def _serve(internet: Internet, tls: ssl.SSLContext, connection: socket.socket) -> None:
    """One port for both: a TLS greeting begins with 0x16, a request with a letter."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    except asyncio.CancelledError:
        loop.remove_reader(connection)
        connection.close()
        raise
    loop.remove_reader(connection)
    secure = connection.recv(1, socket.MSG_PEEK) == b"\x16"  # from here the transport owns it
    reader = asyncio.StreamReader(limit=1 << 20)
    transport, protocol = await loop.connect_accepted_socket(
        lambda: asyncio.StreamReaderProtocol(reader), connection, ssl=tls if secure else None
    )
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        await _answer(internet, secure, reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _answer(internet: Internet, secure: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    asked = Asked(method=method, path=path, headers=headers, body=body, secure=secure)
    internet.asked.append(asked)
    found = internet.answers.get((asked.host, path)) or internet.answers.get((asked.host, path.partition("?")[0]))
    if found is None:
        found = answer(b"not here", "text/plain", status="404 Not Found")
    if isinstance(found, bytes):
        writer.write(found)
    else:
        await found(asked, writer)
    await writer.drain()


def _ranges(body: bytes, kind: str) -> Answer:
    async def write(asked: Asked, writer: asyncio.StreamWriter) -> None:
        wanted = asked.headers.get("range", "")
        if not wanted.startswith("bytes="):
            writer.write(answer(body, kind, "Accept-Ranges: bytes"))
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first or 0), min(int(last or len(body) - 1), len(body) - 1)
        writer.write(
            answer(
                body[start : end + 1],
                kind,
                f"Content-Range: bytes {start}-{end}/{len(body)}",
                "Accept-Ranges: bytes",
                status="206 Partial Content",
            )
        )

    return write


def _certificate(*names: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _load(context: ssl.SSLContext, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as both:
        both.write(certificate.public_bytes(serialization.Encoding.PEM))
        both.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        both.flush()
        context.load_cert_chain(both.name)


async def nearest(fingerprinter: Fingerprinter, bodies: list[bytes], sought: bytes = SOUGHT) -> int:
    """The least distance of the bodies' whole pictures to the one that is sought; 256 where none could be hashed."""
    wanted = (await fingerprinter.fingerprint(sought)).pdq
    least = 256
    for body in bodies:
        try:
            found = await fingerprinter.fingerprint(body)
        except Undecodable:
            continue
        least = min(least, hamming(found.views[0][Orientation.IDENTITY][0], wanted))
    return least


def drawn(look: BrowserLook, *kinds: PictureKind) -> list[bytes]:
    """The bytes of what was drawn, of these kinds or of all but the whole screen."""
    return [one.body for one in look.drawn if is_of(one, kinds)]


def is_of(one: DrawnPicture, kinds: tuple[PictureKind, ...]) -> bool:
    return one.kind in kinds if kinds else one.kind is not PictureKind.VIEWPORT
