"""Rule 11: the guarded client says how an exchange failed, and nothing of whom it asked."""

from __future__ import annotations

import pytest

from shared.outbound.transport import (
    ConnectFailure,
    ConnectionLost,
    MalformedResponse,
)
from tests.integration.shared.fetch.raw_server import (
    Answers,
    answering,
    fetching,
    reset,
    serving,
)


async def test_nobody_listens() -> None:
    async with serving(answering(b"")) as site:
        pass
    async with fetching(site) as fetcher:
        with pytest.raises(ConnectFailure):
            await fetcher.get(site.url())


async def test_a_reset_connection_is_lost() -> None:
    async with serving(reset) as site, fetching(site) as fetcher:
        with pytest.raises(ConnectionLost):
            await fetcher.get(site.url())


async def test_a_body_cut_short_is_lost() -> None:
    async with (
        serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")) as site,
        fetching(site) as fetcher,
    ):
        with pytest.raises(ConnectionLost):
            await fetcher.get(site.url())


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\x00\x01\x02\r\n\r\n"])
async def test_what_is_not_http_is_malformed(raw: bytes) -> None:
    async with serving(answering(raw)) as site, fetching(site) as fetcher:
        with pytest.raises(MalformedResponse):
            await fetcher.get(site.url())


async def test_errors_hold_no_name_or_address() -> None:
    async with serving(reset) as site, fetching(site, resolver=Answers()) as fetcher:
        for url in (site.url("/secret"), "http://nosuch.example/secret", "http://10.1.2.3/secret"):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - any of our errors
                await fetcher.get(url)
            text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
            for secret in ("secret", "nosuch", "10.1.2.3", "127.0.0.1", str(site.port)):
                assert secret not in text
