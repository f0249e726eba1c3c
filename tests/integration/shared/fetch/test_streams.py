"""Streams of pictures (`multipart/x-mixed-replace`) have no end: what has come of them is looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.media.formats.multipart import is_multipart, multipart_pictures
from shared.outbound.fetch import TimedOut
from tests.integration.shared.fetch.raw_server import fetching, serving

PICTURE = (Path(__file__).parents[3] / "data" / "pictures" / "base.jpg").read_bytes()
PART = b"Content-Type: image/jpeg\r\n\r\n" + PICTURE


@pytest.mark.parametrize(
    ("head", "start", "boundary"),
    [
        (b"multipart/x-mixed-replace; boundary=b", b"", b"--b"),
        (b'Multipart/X-Mixed-Replace;boundary="b"', b"\r\n", b"--b"),
        (b"multipart/x-mixed-replace; boundary=--b", b"", b"--b"),
        (b"multipart/x-mixed-replace; boundary=other", b"", b"--myboundary"),
        (b"multipart/x-mixed-replace", b"\r\n\r\n", b"----b"),
    ],
    ids=["plain", "quoted", "with its dashes", "another", "unnamed"],
)
async def test_a_stream_without_end_gives_its_first_pictures(head: bytes, start: bytes, boundary: bytes) -> None:
    async def camera(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + head + b"\r\n\r\n" + start)
        while True:
            writer.write(boundary + b"\r\n" + PART + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(camera) as site, fetching(site) as fetcher:
        fetched = await fetcher.get(site.url(), timeout_seconds=10)
    assert is_multipart(fetched.body)
    assert next(iter(multipart_pictures(fetched.body))) == PICTURE


async def test_a_camera_that_sends_nothing_more_is_slow_and_other_streams_end_as_before() -> None:
    async def stuck(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n" + PART[:5_000]
        )
        await writer.drain()
        await asyncio.sleep(60)

    async with serving(stuck) as site, fetching(site) as fetcher:
        with pytest.raises(TimedOut):
            await fetcher.get(site.url(), timeout_seconds=0.5)
