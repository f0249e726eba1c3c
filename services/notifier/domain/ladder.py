"""Who is asked next: a pure choice from a frozen view of the directory.

A host belongs to the organisation that lists its longest suffix. The first rung is that organisation (the site operator), the
next the one its entry names (the hosting provider).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from services.notifier.domain.model import Refusal, Rung

RUNGS_USED = (Rung.SITE_OPERATOR, Rung.HOSTING_PROVIDER)


class Posture(StrEnum):
    """What an organisation is to us: whether it may be asked."""

    NORMAL = "normal"
    HOSTILE = "hostile"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An organisation of the directory, as the pure code sees it: no secret, no address. `channel` None: nothing is known (or configured)
    to reach it by. `domains` are lower-case ASCII without a leading dot; `bound_by` are regime ids; `next_rung` is the key of the
    organisation to ask after this one. `country` (ISO 3166-1 alpha-2) is where it is established; None: not known.

    `channel` None: nothing is known (or configured) to reach it by. `domains` are lower-case ASCII without a leading dot;
    `bound_by` are regime ids; `next_rung` is the key of the organisation to ask after this one. `country` (ISO 3166-1 alpha-2) is
    where it is established; None: not known.
    """

    key: str
    name: str
    domains: tuple[str, ...]
    channel: Literal["webhook", "email"] | None
    posture: Posture
    bound_by: tuple[str, ...] = ()
    next_rung: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """A view of the directory: at least the target host's organisation, what its `next_rung` leads to, every recipient of a
    demand already made, and the organisation a `reroute` names. More does no harm."""

    organisations: tuple[Organisation, ...] = ()

    def by_key(self, key: str) -> Organisation | None:
        return next((one for one in self.organisations if one.key == key), None)

    def of_host(self, host: str) -> tuple[Organisation, str] | None:
        """The organisation that lists the longest suffix of this host, and that suffix."""
        listed = [
            (domain, one) for one in self.organisations for domain in one.domains if is_same_or_under(host, domain)
        ]
        if not listed:
            return None
        domain, organisation = max(listed, key=lambda pair: len(pair[0]))
        return organisation, domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The organisation to be asked next. `passed_over` are keys that cannot be reached and need a person."""

    organisation: Organisation
    rung: Rung
    domain: str
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownHost:
    """The directory does not know the host: a task, no demand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPosture:
    """The next organisation's posture is a person's choice: a task, no demand."""

    organisation: Organisation
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """Nobody is left to ask."""

    passed_over: tuple[str, ...] = ()


Choice = Ask | UnknownHost | UnknownPosture | Exhausted


def is_same_or_under(host: str, domain: str) -> bool:
    """Whether `host` is `domain` or a name under it. Both lower-case ASCII; an IP address has no names under it."""
    bare = domain.lower().strip(".")
    name = host.lower().rstrip(".")
    return bool(bare) and (name == bare or name.endswith("." + bare))


def steps(routes: Routes, host: str) -> tuple[tuple[Rung, Organisation, str], ...]:
    """The ladder of this host: (rung, organisation, its domain). Empty for an unknown host. Each organisation once."""
    found = routes.of_host(host)
    climbed: list[tuple[Rung, Organisation, str]] = []
    seen: set[str] = set()
    for rung in RUNGS_USED:
        if found is None or found[0].key in seen:
            break
        organisation, domain = found
        climbed.append((rung, organisation, domain))
        seen.add(organisation.key)
        above = routes.by_key(organisation.next_rung) if organisation.next_rung else None
        found = (above, above.domains[0] if above.domains else "") if above else None
    return tuple(climbed)


def next_recipient(
    routes: Routes,
    host: str,
    *,
    refusal_of: Callable[[Organisation], Refusal | None],
    asked: Collection[str],
    skipped: Collection[str] = (),
) -> Choice:
    """The next rung of this host's ladder that may be asked and was not (`asked`, `skipped` are directory keys).

    `refusal_of` says why an organisation must not be written to (`contact_rules.refusal`). One that is hostile, or that a claim
    says not to contact, is skipped without a word. One that cannot be written to for another reason is passed over and named,
    so that a person hears of it.
    """
    ladder = steps(routes, host)
    if not ladder:
        return UnknownHost()
    passed_over: list[str] = []
    for rung, organisation, domain in ladder:
        if organisation.key in asked or organisation.key in skipped:
            continue
        match refusal_of(organisation):
            case None:
                return Ask(organisation=organisation, rung=rung, domain=domain, passed_over=tuple(passed_over))
            case Refusal.UNKNOWN_POSTURE:
                return UnknownPosture(organisation=organisation, passed_over=tuple(passed_over))
            case Refusal.HOSTILE | Refusal.DO_NOT_CONTACT:
                continue
            case _:
                passed_over.append(organisation.key)
    return Exhausted(passed_over=tuple(passed_over))
