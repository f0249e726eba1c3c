"""What nobody has shown a key for costs little: slow heads and bodies, forms that nobody needs, names that are not ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from shared.http.body_limit import BodyLimit
from shared.http.slow_heads import HeadLimit
from shared.http.trusted_hosts import TrustedHosts, host_of, names_of
from shared.process.settings import Settings

SOON = 0.2


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body as it came; 499 where the client is away."""
    body, more, status = b"", True, 200
    while more:
        message = await receive()
        status = 200 if message["type"] == "http.request" else 499
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class QuickHeadLimit(HeadLimit):
    head_seconds = SOON


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """Port of a server with our limits, sooner."""
    app = BodyLimit(echo, max_bytes=10_000, streamed={"/lines"}, body_seconds=SOON, lines_seconds=SOON)
    config = uvicorn.Config(app, http=QuickHeadLimit, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def said(port: int, *pieces: bytes, every: float = SOON / 4) -> bytes:
    """All that a client hears who sends these pieces one after another, and then nothing, until it is hung up on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = asyncio.create_task(reader.read())
    try:
        for piece in pieces:
            if heard.done():
                break
            writer.write(piece)
            await asyncio.wait({heard}, timeout=every)
        async with asyncio.timeout(20):
            return await heard
    finally:
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
DRIPPED = [b"X-%d: 1\r\n" % number for number in range(400)]


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([], b""),
        ([b"P"], b""),
        ([HEAD], b""),
        ([HEAD, *DRIPPED], b""),
        ([HEAD + b"Content-Length: 0\r\n\r\n" + HEAD, *DRIPPED], b"200"),
        ([HEAD + b"Content-Length: 9\r\n\r\n"], b"408"),
        ([HEAD + b"Content-Length: 400\r\n\r\n", *[b"x"] * 400], b"408"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 400], b"408"),
        ([HEAD + b"Content-Length: 99999999\r\n\r\n", *[b"x"] * 400], b"413"),
        (
            [HEAD.replace(b"/", b"/lines", 1) + b"Content-Type: application/x-ndjson\r\nContent-Length: 9\r\n\r\n"],
            b"499",
        ),
    ],
    ids=[
        "nothing",
        "a letter",
        "half a head",
        "a dripping head",
        "a dripping second head",
        "no body",
        "a dripping body",
        "dripping chunks",
        "too much",
        "silent lines",
    ],
)
async def test_whoever_is_slow_is_hung_up_on(pieces: list[bytes], status: bytes) -> None:
    async with served() as port:
        assert (await said(port, *pieces)).partition(b" ")[2][:3] == status


async def test_a_stream_of_lines_may_last_as_long_as_it_is_not_silent() -> None:
    head = b"POST /lines HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\nContent-Length: 24\r\n\r\n"
    async with served() as port:
        assert (await said(port, head, *[b"x"] * 24, every=SOON / 8)).endswith(b"x" * 24)


async def asked(app: Any, *, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    scope = {
        "type": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"fingerprints": [1] * 600_000}, "#"),
        ({"fingerprints": [{}] * 90_000}, "#/fingerprints"),
        ({f"k{number}": 0 for number in range(100_000)}, "#"),
        ([{"a": 1} for _ in range(150_000)], "#"),
    ],
    ids=["numbers", "objects", "names", "many"],
)
async def test_a_form_that_nobody_needs_is_refused_before_it_is_read(document: Any, pointer: str) -> None:
    body = json.dumps(document).encode()
    app = BodyLimit(echo, max_bytes=1 << 21)
    status, answer = await asked(app, body=body, content_type="application/json")
    assert (status, json.loads(answer)["errors"][0]["pointer"]) == (422, pointer)
    assert (await asked(app, body=body, content_type="text/csv"))[0] == 200


OURS = names_of(
    Settings(public_url="https://Takedown.Example/x", trusted_hosts=("desk.internal.example.",), host="10.1.2.3")
)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8400",
        "localhost",
        "LOCALHOST:8400",
        "[::1]:8400",
        "intake:8401",
        "takedown.example",
        "Takedown.example.:443",
        "desk.internal.example",
        "10.9.9.9",
        "intake.takedown.svc.cluster.local:8401",
        "x.localhost",
        "203.0.113.7",
    ],
)
async def test_names_of_ours(host: str) -> None:
    assert (await asked(TrustedHosts(echo, names=OURS), host=host))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "takedown.example.evil.example",
        "xtakedown.example",
        "evil.example:8400",
        "127.0.0.1.evil.example",
        "",
        "takedown.example@evil.example",
        "evil.example/takedown.example",
        "takedown.example:x",
        "[::1",
        "1.2.3.4.5",
        "0x7f.1",
    ],
)
async def test_another_name_is_refused(host: str) -> None:
    status, answer = await asked(TrustedHosts(echo, names=OURS), host=host)
    assert status == 421
    assert "TAKEDOWN_TRUSTED_HOSTS" in json.loads(answer)["detail"]
    assert not host or host not in answer.decode()


async def test_two_of_the_header_and_none() -> None:
    app = TrustedHosts(echo, names=OURS)
    assert (await asked(app))[0] == 200
    assert host_of("a b") in (None, "a b")
