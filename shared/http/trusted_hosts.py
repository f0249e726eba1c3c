"""Requests for a name that is not ours are refused: a page elsewhere may have its own name resolve to us (DNS rebinding), and an
answer that repeats a forged name may lead somebody there."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.http import problems
from shared.process.settings import Settings

_PRIVATE = frozenset(("internal", "local", "localhost", "test"))
"""Top-level names that stand in no public zone (RFC 6761, RFC 6762, and ICANN's `internal`): in a cluster, on a machine, in tests."""


class WrongHost(problems.Problem):
    """This server does not answer for that name."""

    status = 421
    kind = "urn:takedown:problem:wrong-host"


def names_of(settings: Settings) -> frozenset[str]:
    """The names that we answer for, beside those that anybody may use: the public address's, and what the settings add."""
    public = urlsplit(str(settings.public_url)).hostname if settings.public_url is not None else None
    return frozenset(name.lower().rstrip(".") for name in (*settings.trusted_hosts, public, settings.host) if name)


class TrustedHosts:
    """ASGI middleware: 421 (RFC 9110, 15.5.20) for a `Host` that is not one of `names`.

    An address, a name without a dot and one that is for private use pass: no name server on the internet gives those out. So does a
    request without the header, which no browser sends.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str]) -> None:
        self.app = app
        self.names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if all(self._is_ours(one) for one in given):
            await self.app(scope, receive, send)
            return
        refusal = WrongHost(
            "Ask for it by its address, or add the name to TAKEDOWN_TRUSTED_HOSTS and start the service again."
        )
        response = problems.problem_response(refusal.status, refusal.title, kind=refusal.kind, detail=refusal.detail)
        await response(scope, receive, send)

    def _is_ours(self, given: str) -> bool:
        name = host_of(given)
        return name is not None and (
            "." not in name or name in self.names or name.rpartition(".")[2] in _PRIVATE or _is_address(name)
        )


def host_of(given: str) -> str | None:
    """The name or address in a `Host` header, lower-case, without its port; None: it is none."""
    try:
        parts = urlsplit(f"//{given}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
