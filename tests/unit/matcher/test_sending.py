"""Sending very many matches: each subject once, the best of it, and the work grows with their number alone."""

from __future__ import annotations

from typing import cast
from uuid import UUID, uuid4

import pytest

from services.matcher.consumer.partitions import MatcherDependencies, PartitionState, SharedHistory
from services.matcher.consumer.publisher import BATCH, MatchPublisher
from services.matcher.history.history import History
from services.matcher.join.matching import Agreement, match_against_history
from services.matcher.register.register import Register
from services.matcher.register.view import ViewEntry
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from shared.contracts.topics import MATCHES, SIGHTINGS
from shared.log.port import EventLog, Publisher, TopicPartition
from shared.policy import Policy
from tests.matcher_world import KEY, content, near, registered
from tests.memory_log import MemoryLog
from tests.unit.matcher.test_history import KEPT, NOW, pdq, seen

URLS = 5 * BATCH


async def test_each_subject_is_told_once_at_its_nearest_and_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = bytes(range(32))
    register = Register(log_id="log", started_at=NOW)
    entries = register.apply(0, content(uuid4(), 1, registered(near(picture, 9)), registered(near(picture, 2))))
    history = History(log_id="log", position=0, kept=KEPT, erasures_known_at=NOW)
    history.admit([seen(offset, f"u{offset}", pdq(picture)) for offset in range(URLS)])
    partition = TopicPartition(topic=SIGHTINGS.name, partition=0)
    owned = PartitionState(partition=partition, shared=SharedHistory(history=history, written_at=NOW))
    # One entry after the other, as parts of a long scan bring them.
    found: list[tuple[PartitionState, Agreement]] = [
        (owned, one) for part in entries for one in match_against_history(history, [part])
    ]
    looked_at: list[UUID] = []
    contains = Register.contains

    def counted(self: Register, entry: ViewEntry) -> bool:
        looked_at.append(entry.content_id)
        return contains(self, entry)

    monkeypatch.setattr(Register, "contains", counted)
    log = MemoryLog(partitions={MATCHES.name: 1})
    dependencies = MatcherDependencies(
        log=cast(EventLog, log), policy=Policy(), fingerprint_key=KEY, member_id="m", clock=lambda: NOW
    )
    await MatchPublisher(dependencies, register, cast(Publisher, log)).send(found)
    (records,) = log.records.values()
    told = [decode(MODELS, value=one.value, headers=one.headers).event for one in records]
    matches = [one for one in told if isinstance(one, MatchFound)]
    assert len(matches) == URLS == len({one.url_key for one in matches})
    assert {one.distance for one in matches} == {2}
    assert len(looked_at) == len(found) == 2 * URLS
