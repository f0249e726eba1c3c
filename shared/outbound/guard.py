"""The guard of outbound requests: which addresses may be dialled.

Names come from uploaders and hosts, so a request could be turned inward (server-side request forgery). Every resolved
address is checked, and what is dialled is the checked address itself, never the name again (no DNS rebinding).
`ipaddress.is_global` alone is wrong: it lets `64:ff9b::a9fe:a9fe` (NAT64 of the metadata service) through.

Sources: the IANA special-purpose address registries (IPv4, IPv6; RFC 6890 and its successors) and, for ports, the
"bad ports" of the WHATWG Fetch standard.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import ClassVar, NamedTuple, Protocol

from shared.errors import BadSettings, Permanent, TakedownError, Transient

IPAddress = IPv4Address | IPv6Address

RESOLVER_THREADS = 16
"""The threads of getaddrinfo, which blocks: its own, so that slow name servers delay no other work of the process."""


class GuardedEndpoint(NamedTuple):
    """An address and a port to dial. `ip` is in canonical text form."""

    ip: str
    port: int


class OutboundError(TakedownError):
    """The outbound request failed.

    The base of all that can go wrong on the way out. Texts never hold a URL, a host's name or an address.
    """

    code: ClassVar[str] = "failed"
    """A word for a row or a time line."""


class AddressRefused(OutboundError, Permanent):
    """The address may not be dialled."""

    code = "address_refused"


class PortRefused(AddressRefused):
    """The port may not be dialled; a browser might."""

    code = "port_refused"


class DnsFailure(OutboundError, Transient):
    """The host's name could not be resolved."""

    code = "dns_failure"

    def __init__(self, detail: str = "", *, no_such_domain: bool = False) -> None:
        super().__init__(detail)
        self.no_such_domain = no_such_domain
        """True: the answer was that there is no such name (NXDOMAIN). False: it was another, or there was none."""


class Resolver(Protocol):
    """Names to addresses. Answers are not trusted: the guard checks each."""

    async def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of a name, best first. Raises DnsFailure."""
        ...


_REFUSED_V4 = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata"),  # Azure's, in the midst of public space
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
"""All unicast space that is assigned. Anything else (`::/96`, NAT64, ULA, link- and site-local, multicast) is refused."""
_REFUSED_V6 = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "protocol assignments"),  # Teredo, benchmarks, ORCHID among them
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3ffe::/16", "6bone"),
        ("3fff::/20", "documentation"),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Upper half of an interface identifier that tunnels to the IPv4 address in the lower half (RFC 5214)."""

# WHATWG Fetch, "bad port", from 1024 up
_BAD_PORTS_WHATWG = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080)
)
# Databases, caches and consoles that act on what a request line holds
_BAD_PORTS_DATABASES = frozenset((1433, 1521, 2375, 2379, 3306, 3389, 5432, 5900, 6379, 9042, 9092, 9200, 11211, 27017))


def parse_ip(text: str) -> IPAddress:
    """The address in this text; an IPv4-mapped one (`::ffff:a.b.c.d`) is its IPv4 address. Raises ValueError."""
    address = ipaddress.ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def refused_because(address: IPAddress) -> str | None:
    """Why the address is not a public unicast one, in a few words, or None."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in _REFUSED_V4 if address in network), None)
    if address.ipv4_mapped is not None:
        return refused_because(address.ipv4_mapped)
    if address.scope_id is not None or address not in _GLOBAL_V6:
        return "not global unicast"
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "ISATAP"
    return next((why for network, why in _REFUSED_V6 if address in network), None)


def is_public(ip: str | IPAddress) -> bool:
    """True for a public unicast address. A text that is no address is not public."""
    if isinstance(ip, str):
        try:
            ip = parse_ip(ip)
        except ValueError:
            return False
    return refused_because(ip) is None


def is_usual_port(port: int) -> bool:
    """True for 80, 443, and what hosts use beside them: from 1024 up, but not ports where another protocol listens.

    Fewer would put media on odd ports (they exist) beyond any check; the address rule is what keeps us from turning inward.
    """
    return port in (80, 443) or (1024 <= port <= 65535 and port not in _BAD_PORTS_WHATWG | _BAD_PORTS_DATABASES)


def parse_endpoint(text: str) -> GuardedEndpoint:
    """The pair in `127.0.1.2:8080` or `[::1]:8080`. Raises BadSettings."""
    match = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\]:(\d{1,5})|([0-9.]+):(\d{1,5})", text)
    try:
        if match is None:
            raise ValueError
        ip, port = parse_ip(match[1] or match[3]), int(match[2] or match[4])
        if not 1 <= port <= 65535:
            raise ValueError
    except ValueError:
        raise BadSettings(f"{text!r} is not an address with a port, such as 127.0.1.2:8080.") from None
    return GuardedEndpoint(str(ip), port)


class SystemResolver:
    """The system's resolver (getaddrinfo). Names are absolute: a search domain never turns one into an internal name."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def resolve(self, host: str) -> tuple[str, ...]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")
        name = host if host.endswith(".") else f"{host}."
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _getaddrinfo, name)
        except socket.gaierror as error:
            gone = error.errno == socket.EAI_NONAME
            raise DnsFailure("no such domain." if gone else "no answer.", no_such_domain=gone) from None
        except UnicodeError:  # a label over 63 characters, of which no name server was asked
            raise DnsFailure("no answer.") from None
        except OSError:  # ours: too many open files, say
            raise DnsFailure("no answer.") from None
        return found


def _getaddrinfo(name: str) -> tuple[str, ...]:
    # Without AI_ADDRCONFIG: on a machine that has lost its network it answers "no such name", which would count as gone.
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(item[4][0]) for item in found))


class AddressGuard:
    """Which addresses may be dialled for a name.

    `allow`: exact (ip, port) pairs that pass although they are not public; nothing near them does. `static_hosts`: name ->
    pair, before DNS, whatever port the URL has; its pairs need to be allowed like any other. A static table is for demo
    and tests: without `allow_static_hosts` it is refused with BadSettings.
    """

    def __init__(
        self,
        *,
        allow: Iterable[tuple[str, int]] = (),
        static_hosts: Mapping[str, tuple[str, int]] | None = None,
        allow_static_hosts: bool = False,
        resolver: Resolver | None = None,
    ) -> None:
        if static_hosts and not allow_static_hosts:
            raise BadSettings("static_hosts is for the demo and for tests only. Remove it, or set allow_static_hosts.")
        self._allow = frozenset(GuardedEndpoint(str(parse_ip(ip)), port) for ip, port in allow)
        self._static = {_bare(name): GuardedEndpoint(*pair) for name, pair in (static_hosts or {}).items()}
        self._resolver: Resolver = resolver or SystemResolver()

    @classmethod
    def of(
        cls,
        outbound_allow: Iterable[str],
        static_hosts: Mapping[str, str],
        *,
        allow_static_hosts: bool,
        resolver: Resolver | None = None,
    ) -> AddressGuard:
        """The guard of the settings, whose pairs are `ip:port` texts. Raises BadSettings."""
        return cls(
            allow=[parse_endpoint(text) for text in outbound_allow],
            static_hosts={name: parse_endpoint(text) for name, text in static_hosts.items()},
            allow_static_hosts=allow_static_hosts,
            resolver=resolver,
        )

    @property
    def allowed(self) -> frozenset[GuardedEndpoint]:
        """The pairs that pass although they are not public, to be printed."""
        return self._allow

    def is_allow_listed(self, endpoint: tuple[str, int]) -> bool:
        """True for an exact pair of the allow-list."""
        ip, port = endpoint
        try:
            return GuardedEndpoint(str(parse_ip(ip)), port) in self._allow
        except ValueError:
            return False

    def check(self, ip: str, port: int) -> GuardedEndpoint:
        """Check an address and port, and give the pair to dial. Raises AddressRefused; its text names the kind of address, not the
        address."""
        try:
            address = parse_ip(ip)
        except ValueError:
            raise AddressRefused("not an address.") from None
        endpoint = GuardedEndpoint(str(address), port)
        if endpoint in self._allow:
            return endpoint
        why = refused_because(address)
        if why is not None:
            raise AddressRefused(f"{why}.")
        if not is_usual_port(port):
            raise PortRefused(f"{port}.")
        return endpoint

    def refusal_of(self, host: str, port: int, *, plain: bool) -> str | None:
        """Why this host and port are never dialled, as far as their text tells: a name may still resolve to what is refused. `plain`:
        without TLS, which only the allow-list has."""
        bare = _bare(host)
        if bare in self._static:
            return None
        try:
            literal = self.check(str(parse_ip(host)), port)
        except AddressRefused as error:
            return f"Nothing is sent to this address: {error.detail}"
        except ValueError:
            literal = None
        if literal is None and (bare == "localhost" or bare.endswith(".localhost")):
            return "Nothing is sent to this machine itself."
        if literal is None and not is_usual_port(port):
            return "Nothing is sent to this port."
        if plain and (literal is None or literal not in self._allow):
            return "A webhook needs an https address."
        return None

    async def resolve(self, host: str, port: int) -> tuple[GuardedEndpoint, ...]:
        """What may be dialled for a host (name or address literal), best first.

        All of a name's addresses are checked and one bad one refuses the name: an answer that mixes public and private
        addresses has no honest reading. Raises AddressRefused, DnsFailure.
        """
        static = self._static.get(_bare(host))
        if static is not None:
            return (self.check(*static),)
        try:
            literal = parse_ip(host)
        except ValueError:
            literal = None
        if literal is not None:
            return (self.check(str(literal), port),)
        found = await self._resolver.resolve(host)
        if not found:
            raise DnsFailure("no address.")
        return tuple(self.check(ip, port) for ip in found)


def _bare(host: str) -> str:
    return host.lower().rstrip(".")
