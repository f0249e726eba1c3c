"""Rule 11: the guarded client posts once, to where it was told, and bounds the answer."""

from __future__ import annotations

import time

import pytest

from shared.outbound.fetch import TimedOut
from shared.outbound.guard import AddressRefused
from shared.outbound.transport import (
    ConnectionLost,
)
from tests.integration.shared.fetch.raw_server import (
    Answers,
    Handler,
    answering,
    dripping,
    fetching,
    ok,
    reset,
    serving,
)


async def test_a_post_arrives_once_with_its_headers() -> None:
    raw = ok(b"thanks", "Retry-After: 120", status="202 Accepted")
    async with serving(answering(raw)) as site, fetching(site) as fetcher:
        posted = await fetcher.post(
            site.url("/hook"), b'{"a":1}', {"webhook-id": "m1", "content-type": "application/json"}
        )
    assert (posted.status, posted.body, posted.cut, posted.address) == (202, b"thanks", False, site.endpoint)
    assert posted.headers["retry-after"] == "120"
    (request,) = site.requests
    assert request.startswith("POST /hook HTTP/1.1\r\n")
    assert "webhook-id: m1" in request.lower()
    assert request.endswith('\r\n\r\n{"a":1}')


async def test_a_post_does_not_follow_redirects() -> None:
    async with (
        serving(answering(ok(b"", "Location: http://10.0.0.1/", status="307 Temporary"))) as site,
        fetching(site) as fetcher,
    ):
        posted = await fetcher.post(site.url(), b"x", {})
    assert (posted.status, len(site.requests)) == (307, 1)


async def test_a_post_on_a_broken_connection_is_not_repeated() -> None:
    async with serving(reset) as site, fetching(site) as fetcher:
        with pytest.raises(ConnectionLost):
            await fetcher.post(site.url(), b"x", {})
    assert len(site.requests) == 1


async def test_plain_http_is_posted_to_allow_listed_addresses_alone() -> None:
    async with fetching(resolver=Answers(host_example=[("93.184.215.14",)])) as fetcher:
        with pytest.raises(AddressRefused, match="plain http"):
            await fetcher.post("http://host.example/hook", b"x", {}, timeout_seconds=2)


async def test_a_long_answer_is_cut() -> None:
    async with serving(answering(ok(b"y" * 200_000))) as site, fetching(site) as fetcher:
        posted = await fetcher.post(site.url(), b"x", {}, max_answer_bytes=1000)
    assert (len(posted.body), posted.cut) == (1000, True)


@pytest.mark.parametrize("handler", [dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")])
async def test_a_status_counts_although_the_answer_drips(handler: Handler) -> None:
    async with serving(handler) as site, fetching(site) as fetcher:
        began = time.monotonic()
        posted = await fetcher.post(site.url(), b"x", {}, timeout_seconds=0.5)
        assert time.monotonic() - began < 3
    assert (posted.status, posted.cut) == (200, True)


async def test_a_status_that_drips_times_out() -> None:
    async with serving(dripping(b"HTTP/1.1 200 OK\r\nX: ")) as site, fetching(site) as fetcher:
        with pytest.raises(TimedOut):
            await fetcher.post(site.url(), b"x", {}, timeout_seconds=0.3)
