"""Ways to leave out one rule of what the join does with sightings that come again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from services.matcher.consumer import publisher as publisher_module
from services.matcher.consumer.publisher import MatchPublisher
from services.matcher.consumer.sightings_follower import SightingsFollower
from services.matcher.history.history import History
from services.matcher.register.register import Register
from services.matcher.sightings.batch import SeenBatch
from services.matcher.sightings.sighting import StoredSighting

# What is stored and what is matched
from tests.simulation.join.omissions import Patch


def remembered(history: History) -> dict[object, StoredSighting]:
    """(URL, algorithm, value) -> its last sighting, of everything in a history."""
    found: dict[object, StoredSighting] = {}
    for number, part in history._parts():
        for row in np.flatnonzero(part.alive).tolist():
            one = history.entry(number << 32 | row)
            found[one.seen.url, one.fingerprint.algorithm, one.fingerprint.value] = one.seen
    return found


def known_of(seen: StoredSighting, before: Mapping[object, StoredSighting]) -> list[StoredSighting]:
    keys = [(seen.url, one.algorithm, one.value) for one in seen.fingerprints]
    return [before[key] for key in keys if key in before]


def only_new(batch: SeenBatch, before: Mapping[object, StoredSighting]) -> SeenBatch:
    """Without the sightings of which every fingerprint was there."""
    pairs = zip(batch.data, batch, strict=True)
    new = [data for data, seen in pairs if len(known_of(seen, before)) < len(seen.fingerprints)]
    return SeenBatch(new, partition=batch.partition, offset=batch.offset, appended_at=batch.appended_at)


def repeats_not_matched(patch: Patch) -> None:
    admit = SightingsFollower.admit

    async def new_alone(self: Any, owned: Any, records: Any, position: int) -> Any:
        before = remembered(owned.history)
        return [only_new(batch, before) for batch in await admit(self, owned, records, position)]

    patch(SightingsFollower, "admit", new_alone)


def repeats_refresh_nothing(patch: Patch) -> None:
    admit = History.admit

    def new_alone(self: Any, sightings: Any) -> None:
        for one in sightings:
            if len(known_of(one, remembered(self))) < len(one.fingerprints):
                admit(self, [one])

    patch(History, "admit", new_alone)


def _refreshing_but_for(**names: str) -> Callable[[Patch], None]:
    def leave_out(patch: Patch) -> None:
        admit = History.admit

        def keeping(self: Any, sightings: Any) -> None:
            for one in sightings:
                known = known_of(one, remembered(self))
                kept = {name: getattr(known[0], name) for name in names.values()} if known else {}
                admit(self, [dataclasses.replace(one, **kept)])

        patch(History, "admit", keeping)

    return leave_out


repeats_refresh_time_alone = _refreshing_but_for(which="sighting_id")
repeats_refresh_sighting_alone = _refreshing_but_for(when="appended_at")


# Just before a match is sent


def content_not_looked_at_again(patch: Patch) -> None:
    def not_to_be_sent(agreement: Any, register: Register, history: History) -> str | None:
        return "url_erased" if history.erased_after(agreement.seen) else None

    patch(publisher_module, "not_to_be_sent", not_to_be_sent)
    patch(Register, "revision_of", lambda self, content_id: 0)


def url_not_looked_at_again(patch: Patch) -> None:
    def not_to_be_sent(agreement: Any, register: Register, history: History) -> str | None:
        return None if register.contains(agreement.entry) else "content_not_active"

    patch(publisher_module, "not_to_be_sent", not_to_be_sent)


def not_looked_at_at_each_retry(patch: Patch) -> None:
    send_matches, standing = MatchPublisher._send_matches, MatchPublisher._standing

    async def once(self: Any, found: Any) -> Any:
        looked_at = standing(self, found)
        sender = MatchPublisher(self._dependencies, self._register, self._publisher)
        sender._standing = list  # type: ignore[method-assign,assignment]  # that is the change
        return await send_matches(sender, looked_at)

    patch(MatchPublisher, "_send_matches", once)
