"""Rule 5: whom we may write to about a takedown. Whoever chooses a recipient or writes to one asks here.

An operator may be the perpetrator: a hostile organisation hears nothing, nor does one that a claim says not to contact, and one
whose posture nobody knows is a person's choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from services.notifier.domain.events import DecisionContext
from services.notifier.domain.ladder import Organisation, Posture, Routes, is_same_or_under
from services.notifier.domain.model import Demand, Refusal, Takedown

HEARS_NOTHING = frozenset({Refusal.HOSTILE, Refusal.DO_NOT_CONTACT})
"""Refusals with which nothing is said at all, not even that it was an error. Any other refusal is temporary, or a person's task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What a message would be about: one takedown, as its target, its claims and the people who decided on it leave it.

    `hosts` are the target's (of the medium and of its page), lower-case ASCII; none once it is erased. `do_not_contact` are
    domains; None: no confirmed claim is known, so nobody knows whom not to contact. `postures_cleared` are directory keys.
    """

    hosts: tuple[str, ...]
    do_not_contact: tuple[str, ...] | None
    postures_cleared: frozenset[str]
    routes: Routes


def matter_of(takedown: Takedown, around: DecisionContext, *, chosen: Collection[str] = ()) -> Matter:
    """What a message about this takedown would be about. `chosen` are recipients that a person has just named: their posture
    is that person's choice."""
    target = takedown.target
    return Matter(
        hosts=() if target is None else tuple(host for host in (target.host, target.page_host) if host is not None),
        do_not_contact=None if around.terms is None else around.terms.do_not_contact,
        postures_cleared=frozenset((*takedown.climb.postures_cleared, *chosen)),
        routes=around.routes,
    )


def refusal(organisation: Organisation | None, matter: Matter, *, also_known_as: Iterable[str] = ()) -> Refusal | None:
    """Why this organisation (None: the directory does not know it) must not be written to about this, or None: it may.

    What a claim says of a domain is said of all under it, and of every organisation that has one of these names: a domain the
    directory lists for it, a host of the target that it operates by the directory, or `also_known_as`.
    """
    if organisation is None:
        return Refusal.UNKNOWN_RECIPIENT
    if organisation.posture is Posture.HOSTILE:
        return Refusal.HOSTILE
    if matter.do_not_contact is None:
        return Refusal.TERMS_UNKNOWN
    names = {*organisation.domains, *_operated(organisation, matter), *also_known_as}
    if any(is_same_or_under(name, domain) for name in names for domain in matter.do_not_contact):
        return Refusal.DO_NOT_CONTACT
    if organisation.posture is Posture.UNKNOWN and organisation.key not in matter.postures_cleared:
        return Refusal.UNKNOWN_POSTURE
    return Refusal.NO_CHANNEL if organisation.channel is None else None


def refusal_of_recipient(demand: Demand, matter: Matter) -> Refusal | None:
    """Why the recipient of a demand that was made must not be written to, or None. It is still known by the domain it was asked under, and
    what a claim said of it outlives the target's erasure (`Demand.do_not_contact`)."""
    if demand.do_not_contact:
        return Refusal.DO_NOT_CONTACT
    domain = demand.recipient_domain
    return refusal(matter.routes.by_key(demand.recipient), matter, also_known_as=(domain,) if domain else ())


def refusal_of_test(organisation: Organisation) -> Refusal | None:
    """Why an organisation must not be sent a `host.test`, or None. That is about no takedown, and a person chose to send it."""
    return Refusal.HOSTILE if organisation.posture is Posture.HOSTILE else None


def _operated(organisation: Organisation, matter: Matter) -> list[str]:
    """The target's hosts that are the organisation's own, by the directory."""
    found = [(host, matter.routes.of_host(host)) for host in matter.hosts]
    return [host for host, operator in found if operator is not None and operator[0].key == organisation.key]
