"""Rule 11, outbound cannot be turned inward: which addresses may be dialled."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BadSettings
from shared.outbound.guard import (
    AddressGuard,
    AddressRefused,
    DnsFailure,
    GuardedEndpoint,
    SystemResolver,
    is_public,
    parse_endpoint,
)

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.0.1
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255
198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::8.8.8.8 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::1
100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:a9fe:a9fe::1 2002:808:808::
3ffe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
2606:4700::5efe:a00:1 2606:4700::200:5efe:a00:1 4000::1
localhost example.com 127.1 0x7f.0.0.1 1.2.3 1.2.3.4:80
""".split()  # noqa: SIM905 - a list of eighty literals reads worse
PUBLIC = """
1.1.1.1 8.8.8.8 93.184.215.14 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 169.253.1.1 198.17.1.1 198.20.1.1 223.255.255.254
::ffff:8.8.8.8 2606:4700:4700::1111 2001:4860:4860::8888 2a00:1450:4001:800::200e 2003::1 2620:fe::fe
""".split()  # noqa: SIM905 - as above


class Answer:
    """A name server that always gives these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str) -> tuple[str, ...]:
        return self.addresses


@pytest.mark.parametrize("address", REFUSED)
def test_not_public(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(AddressRefused):
        AddressGuard().check(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)
    assert AddressGuard().check(address, 443).port == 443


@settings(max_examples=200)
@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_nothing_passes_that_the_standard_library_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@settings(max_examples=150)
@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_never_better_than_the_bare_one(address: ipaddress.IPv4Address) -> None:
    value = int(address)
    assert is_public(ipaddress.IPv6Address((0xFFFF << 32) | value)) == is_public(address)
    for wrapped in (
        value,
        (0x64FF9B << 96) | value,
        (0x2002 << 112) | (value << 80),
        (0x20010000 << 96) | (value ^ 0xFFFFFFFF),
    ):
        assert not is_public(ipaddress.IPv6Address(wrapped))


@pytest.mark.parametrize("port", [80, 443, 1024, 8000, 8080, 8443, 2083, 65535])
def test_usual_ports(port: int) -> None:
    assert AddressGuard().check("8.8.8.8", port) == GuardedEndpoint("8.8.8.8", port)


@pytest.mark.parametrize(
    "port", [0, 1, 22, 25, 53, 81, 110, 445, 587, 1023, 3306, 5060, 5432, 6379, 6667, 9092, 11211, 65536, -1]
)
def test_ports_of_other_protocols(port: int) -> None:
    with pytest.raises(AddressRefused, match="port"):
        AddressGuard().check("8.8.8.8", port)


def test_the_allow_list_is_exact() -> None:
    guard = AddressGuard(allow=[("127.0.1.2", 9001), ("::ffff:127.0.1.3", 25)])
    assert guard.check("127.0.1.2", 9001) == GuardedEndpoint("127.0.1.2", 9001)
    assert guard.check("127.0.1.3", 25) == guard.check("::ffff:127.0.1.3", 25)
    assert guard.allowed == {("127.0.1.2", 9001), ("127.0.1.3", 25)}
    assert guard.is_allow_listed(("127.0.1.2", 9001))
    for near in (("127.0.1.2", 9002), ("127.0.1.3", 9001), ("127.0.1.4", 25), ("8.8.8.8", 443), ("x", 1)):
        assert not guard.is_allow_listed(near)
    for ip, port in (("127.0.1.2", 9002), ("127.0.1.3", 9001), ("127.0.1.1", 9001)):
        with pytest.raises(AddressRefused):
            guard.check(ip, port)


async def test_every_address_of_a_name_is_checked() -> None:
    assert await AddressGuard(resolver=Answer("8.8.8.8", "1.1.1.1")).resolve("a.example", 80) == (
        GuardedEndpoint("8.8.8.8", 80),
        GuardedEndpoint("1.1.1.1", 80),
    )
    for addresses in (
        ("8.8.8.8", "10.0.0.1"),
        ("10.0.0.1", "8.8.8.8"),
        ("8.8.8.8", "64:ff9b::a00:1"),
        ("8.8.8.8", "junk"),
    ):
        with pytest.raises(AddressRefused):
            await AddressGuard(resolver=Answer(*addresses)).resolve("a.example", 80)
    with pytest.raises(DnsFailure) as caught:
        await AddressGuard(resolver=Answer()).resolve("a.example", 80)
    assert not caught.value.no_such_domain, "the name is there"


async def test_a_literal_asks_no_name_server() -> None:
    guard = AddressGuard(resolver=Answer("8.8.8.8"))
    assert await guard.resolve("1.1.1.1", 443) == (GuardedEndpoint("1.1.1.1", 443),)
    for literal in ("127.0.0.1", "::1", "::ffff:a00:1"):
        with pytest.raises(AddressRefused):
            await guard.resolve(literal, 443)


async def test_static_names_are_for_demo_and_tests_and_need_to_be_allowed() -> None:
    table = {"Liar.test": ("127.0.1.2", 9001)}
    with pytest.raises(BadSettings):
        AddressGuard(static_hosts=table)
    listed = AddressGuard(
        static_hosts=table, allow=[("127.0.1.2", 9001)], allow_static_hosts=True, resolver=Answer("93.184.215.14")
    )
    assert await listed.resolve("LIAR.TEST.", 443) == (GuardedEndpoint("127.0.1.2", 9001),)
    assert await listed.resolve("sub.liar.test", 443) == (GuardedEndpoint("93.184.215.14", 443),)
    unlisted = AddressGuard(static_hosts=table, allow_static_hosts=True)
    with pytest.raises(AddressRefused):
        await unlisted.resolve("liar.test", 80)


def test_settings_speak_of_pairs() -> None:
    guard = AddressGuard.of(["127.0.1.2:9001", "[::1]:9002"], {"a.test": "127.0.1.2:9001"}, allow_static_hosts=True)
    assert guard.allowed == {("127.0.1.2", 9001), ("::1", 9002)}
    for text in ("127.0.1.2", "127.0.1.2:0", "127.0.1.2:99999", "host:80", "::1:80", "127.0.1.2:80 ", "300.1.1.1:80"):
        with pytest.raises(BadSettings):
            parse_endpoint(text)


@pytest.mark.parametrize(
    ("error", "no_such_domain"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), True),
        (socket.gaierror(socket.EAI_NODATA, ""), False),  # the name is there, without an address
        (OSError(24, "too many open files"), False),
        (socket.gaierror(socket.EAI_AGAIN, ""), False),
        (socket.gaierror(socket.EAI_FAIL, ""), False),
    ],
)
async def test_no_such_domain_is_told_from_no_answer(
    monkeypatch: pytest.MonkeyPatch, error: OSError, no_such_domain: bool
) -> None:
    asked: list[str] = []

    def getaddrinfo(name: str, *rest: object, **more: object) -> object:
        asked.append(name)
        raise error

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    with pytest.raises(DnsFailure) as caught:
        await SystemResolver().resolve("nosuch.example")
    assert caught.value.no_such_domain is no_such_domain
    assert asked == ["nosuch.example."]  # absolute: no search domain is appended


async def test_a_name_no_resolver_takes_was_not_said_to_be_none() -> None:
    with pytest.raises(DnsFailure) as caught:
        await SystemResolver().resolve("a" * 64 + ".example")
    assert not caught.value.no_such_domain
