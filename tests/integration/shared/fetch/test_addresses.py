"""Rule 11: the guarded client dials public addresses alone, each as it was checked, however names and redirects lead inward."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import pytest

from shared.outbound.fetch import Fetcher, TooManyRedirects
from shared.outbound.guard import AddressGuard, AddressRefused, DnsFailure, GuardedEndpoint
from shared.outbound.transport import (
    GuardedTransport,
    MalformedResponse,
)
from shared.urls import BadUrl, CredentialsInUrl, UnsupportedScheme
from tests.integration.shared.fetch.raw_server import (
    Answers,
    Handler,
    answering,
    fetching,
    ok,
    serving,
)

# --- the guard -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://2130706433/",  # 127.0.0.1 as a number
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data",
        "http://inside.example/",
        "http://mixed.example/",
        "http://localhost/",
    ],
)
async def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    resolver = Answers(
        inside_example=[("10.0.0.7",)], mixed_example=[("93.184.215.14", "192.168.1.1")], localhost=[("127.0.0.1",)]
    )
    async with fetching(resolver=resolver) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.get(url, timeout_seconds=2)


async def test_only_the_exact_pair_is_allowed() -> None:
    async with (
        serving(answering(ok(b"in"))) as site,
        serving(answering(ok(b"out"))) as neighbour,
        fetching(site) as fetcher,
    ):
        assert (await fetcher.get(site.url())).body == b"in"
        with pytest.raises(AddressRefused):
            await fetcher.get(neighbour.url())
        with pytest.raises(AddressRefused):
            await fetcher.get(f"http://127.0.0.2:{site.port}/")
    assert neighbour.connections == 0


async def test_a_rebinding_name_is_dialled_where_it_was_checked() -> None:
    async with (
        serving(answering(ok(b"checked"))) as site,
        serving(answering(ok(b"trap")), ip="127.0.0.2", port=site.port) as trap,
    ):
        resolver = Answers(rebinding_example=[("127.0.0.1",), ("127.0.0.2",)])
        async with fetching(site, resolver=resolver) as fetcher:
            fetched = await fetcher.get(site.url(host="rebinding.example"))
            assert (fetched.body, fetched.address) == (b"checked", site.endpoint)
            assert resolver.asked == ["rebinding.example"]
            with pytest.raises(AddressRefused):
                await fetcher.get(site.url(host="rebinding.example"))
        assert trap.connections == 0
    assert f"host: rebinding.example:{site.port}" in site.requests[0].lower()


async def test_the_socket_itself_is_held_to_the_pinned_address() -> None:
    async with serving(answering(ok(b"trap"))) as site:
        transport = GuardedTransport(tls=ssl.create_default_context())
        try:
            for pinned in ((), (GuardedEndpoint("127.0.0.2", site.port),)):
                with pytest.raises(AddressRefused):
                    await transport.send(httpx.Request("GET", site.url()), pinned)
        finally:
            await transport.aclose()
    assert site.connections == 0


async def test_a_static_name_comes_before_dns_and_leads_to_its_port() -> None:
    async with serving(answering(ok(b"demo"))) as site:
        resolver = Answers(liar_test=[("93.184.215.14",)])
        guard = AddressGuard(
            allow=[site.endpoint], static_hosts={"liar.test": site.endpoint}, allow_static_hosts=True, resolver=resolver
        )
        async with Fetcher(guard, user_agent="test") as fetcher:
            fetched = await fetcher.get("http://LIAR.test/x.jpg")
    assert (fetched.body, fetched.address, fetched.final_url) == (b"demo", site.endpoint, "http://liar.test/x.jpg")
    assert resolver.asked == []


async def test_an_unknown_name_says_so() -> None:
    async with fetching() as fetcher:
        with pytest.raises(DnsFailure) as caught:
            await fetcher.get("http://nosuch.example/")
    assert caught.value.no_such_domain


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("ftp://a.example/", UnsupportedScheme),
        ("file:///etc/passwd", UnsupportedScheme),
        ("http://user:pw@a.example/", CredentialsInUrl),
        ("nonsense", BadUrl),
    ],
)
async def test_only_plain_web_urls_are_fetched(url: str, error: type[BadUrl]) -> None:
    async with fetching() as fetcher:
        with pytest.raises(error):
            await fetcher.get(url)


# --- redirects -----------------------------------------------------------------------------------------------------------


def redirecting(to: str) -> Handler:
    return answering(ok(b"", f"Location: {to}", status="302 Found"))


async def test_redirects_are_followed_and_counted() -> None:
    async def handler(request: str, writer: asyncio.StreamWriter) -> None:
        hop = int(request.split(" ")[1].strip("/") or 0)
        await (answering(ok(b"end")) if hop == 5 else redirecting(f"{hop + 1}"))(request, writer)

    async with serving(handler) as site, fetching(site) as fetcher:
        fetched = await fetcher.get(site.url("/0"))
        assert (fetched.body, fetched.redirects, fetched.final_url) == (b"end", 5, site.url("/5"))
        with pytest.raises(TooManyRedirects):
            await fetcher.get(site.url("/0"), max_redirects=4)


async def test_a_redirect_to_another_site_is_dialled_there() -> None:
    async with (
        serving(answering(ok(b"there"))) as there,
        serving(redirecting(there.url("/x"))) as here,
        fetching(here, there) as fetcher,
    ):
        fetched = await fetcher.get(here.url())
    assert (fetched.body, fetched.address, fetched.final_url) == (b"there", there.endpoint, there.url("/x"))


async def test_a_redirect_loop_ends() -> None:
    async with serving(redirecting("/")) as site, fetching(site) as fetcher:
        with pytest.raises(TooManyRedirects):
            await fetcher.get(site.url())
    assert len(site.requests) == 6


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest/", "http://127.0.0.1/", "http://[::1]:80/", "//10.0.0.1/"]
)
async def test_a_redirect_inward_is_refused(to: str) -> None:
    async with serving(redirecting(to)) as site, fetching(site) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.get(site.url())


@pytest.mark.parametrize(
    "to", ["ftp://a.example/", "file:///etc/passwd", "http://u:p@a.example/", "http://", "http://a b/"]
)
async def test_a_redirect_to_nowhere_is_malformed(to: str) -> None:
    async with serving(redirecting(to)) as site, fetching(site) as fetcher:
        with pytest.raises(MalformedResponse):
            await fetcher.get(site.url())
