"""Receives a match: finds or makes its takedown. A match that arrives before its content or claim waits in a table until they are known."""

from __future__ import annotations

from datetime import timedelta

from services.notifier.application.unit_of_work import UnitOfWork
from services.notifier.domain.events import FloodHeld, MatchReceived
from services.notifier.domain.model import MatchFacts, Takedown, Target
from services.notifier.domain.takedown import acts_on, begin
from services.notifier.store import aliases, takedowns
from services.notifier.store import content as store_content
from shared.contracts.content import ContentState
from shared.contracts.matches import MatchFound
from shared.errors import Poison
from shared.policy import Policy
from shared.urls import BadUrl, canonical

AT_ONCE = 25
"""How many waiting matches are received in the transaction of what they waited for; further ones have their own."""

_HOUR = timedelta(hours=1)


async def receive_match(unit: UnitOfWork, event_id: str, event: MatchFound) -> None:
    """Find or make the takedown; a match that overtook its content or claim waits. Where `may_flood` says
    so, the unit of work must hold the content's row exclusively."""
    if unit.content.state is ContentState.WITHDRAWN:
        return
    received = received_of(event)
    takedown = await unit.load(event.takedown_id) or await _of_the_same_thing(unit, event)
    if takedown is not None:
        await unit.apply(takedown, received)
    elif not _ready(unit, event.content_revision):
        await store_content.park_match(unit.tx, event_id, event)
    elif acts_on(received):
        fresh = begin(event.takedown_id, event.content_id, received, unit.now)
        await unit.apply(fresh, received, new=True)
        if may_flood(event, unit.runtime.policy):
            await _guard_flood(unit)


async def _of_the_same_thing(unit: UnitOfWork, event: MatchFound) -> Takedown | None:
    """The takedown of the same content at the same thing, begun under another version of its key."""
    known_as = await aliases.same_thing(unit.tx, event)
    return None if known_as is None else await unit.load(known_as)


async def let_waiting_go_on(unit: UnitOfWork) -> None:
    """Receive the matches that waited for this content or its claim: the first few now, further ones each in a transaction of its own."""
    if unit.content.state is ContentState.WITHDRAWN:
        await store_content.drop_waiting(unit.tx, unit.content_id)
    elif _ready(unit, 0):
        await unit.all_or_none(lambda: _receive_waiting(unit))
        if await store_content.make_waiting_due(unit.tx, unit.content_id):
            unit.wake_on_commit(takedowns.CHANGES_WAKEUP)


async def _receive_waiting(unit: UnitOfWork) -> None:
    for event_id, event in await store_content.take_waiting(unit.tx, unit.content_id, at_most=AT_ONCE):
        await receive_match(unit, event_id, event)


def may_flood(event: MatchFound, policy: Policy) -> bool:
    """Whether the flood guard counts this match; then the content's row is locked exclusively."""
    return (event.distance or 0) > policy.flood_distance_over


def _ready(unit: UnitOfWork, revision: int) -> bool:
    content = unit.content
    return content.view.state is ContentState.ACTIVE and content.revision >= revision and unit.terms is not None


async def _guard_flood(unit: UnitOfWork) -> None:
    policy = unit.runtime.policy
    hosts, takedown_ids = await takedowns.flood_of(
        unit.tx, unit.content_id, over=policy.flood_distance_over, within=policy.scaled(_HOUR)
    )
    if hosts <= policy.flood_hosts_per_hour:
        return
    for takedown_id in takedown_ids:
        takedown = await unit.load(takedown_id)
        if takedown is not None:
            await unit.apply(takedown, FloodHeld(hosts=hosts))


def received_of(event: MatchFound) -> MatchReceived:
    """The event of a match, as `decide` takes it. Raises Poison for a URL that cannot be fetched."""
    try:
        host = canonical(event.url).host
        page_host = None if event.page_url is None else canonical(event.page_url).host
    except BadUrl as error:
        raise Poison(f"/url: {error.title}") from None
    return MatchReceived(
        match=MatchFacts(
            basis=event.basis,
            seen_at=event.seen_at,
            observed_by=event.observed_by,
            assurance=event.assurance,
            algorithm=event.algorithm,
            distance=event.distance,
            orientation=event.orientation,
            quality=event.quality,
            fingerprint_ref=event.fingerprint_ref,
            guards=event.guards,
            asserted_by=event.asserted_by,
            sighting_id=event.sighting_id,
            report_id=event.report_id,
            reported_by=event.reported_by,
        ),
        target=Target(
            kind=event.target_kind,
            url=event.url,
            url_key=event.url_key,
            key_version=event.key_version,
            host=host,
            page_url=event.page_url,
            page_host=page_host,
            seen_at=event.seen_at,
        ),
    )
