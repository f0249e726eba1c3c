"""The client of our own API, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.http.api_client import ApiClient, ApiUnreachable


@asynccontextmanager
async def server_dropping(drops: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Closes the connection of its first `drops` requests without a word, and answers the others; what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        if len(asked) > drops:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}", asked


async def test_a_dropped_connection_is_tried_again_with_the_same_idempotency_key() -> None:
    async with server_dropping(1) as (url, asked), ApiClient(url) as api:
        assert await api.post("/v1/claims", {}) == {}
    keys = [line for head in asked for line in head.split(b"\r\n") if line.lower().startswith(b"idempotency-key")]
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_a_server_that_goes_on_dropping_is_unreachable() -> None:
    async with server_dropping(10) as (url, asked), ApiClient(url) as api:
        with pytest.raises(ApiUnreachable):
            await api.get("/v1/takedowns")
    assert len(asked) == 3
