"""One record stops no reader: intake, notifier and matcher on a real log, with records that nobody meant among those that count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID, uuid4

import pytest
from psycopg import errors

from services.intake.claims.content_steps import DECISIONS_GROUP
from services.intake.reports.matches import MATCHES_GROUP
from services.notifier.application.consumers import GROUPS
from shared.contracts.content import ContentState
from shared.contracts.dead_letters import MODELS as DEAD_LETTER_MODELS
from shared.contracts.dead_letters import DeadLetter
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import decode
from shared.contracts.registry import MODELS_BY_TOPIC
from shared.contracts.topics import CLAIMS, CONTENT, DEAD_LETTERS, DECISIONS, MATCHES, SIGHTINGS, TOPICS
from shared.db.pool import Database
from shared.errors import Poison
from shared.log.port import EventLog, OutgoingRecord
from tests.contract.log_harness import postgres_harness, read_all
from tests.hostile_records import NOW, changed, record_of
from tests.integration.intake.harness import pdq, running_intake
from tests.integration.intake.harness import until as until_true
from tests.matcher_world import (
    content,
    content_record,
    near,
    registered,
    running_matcher,
    seen_value,
    sighting,
    sightings_record,
    until,
    watch_matches,
)
from tests.notifier_world import open_world, picture

TAKEN_AT_MOST, REFUSED_AT_MOST = 15, 6
SECONDS = 40.0


def some(*topics: str) -> list[OutgoingRecord]:
    """Of the hostile records those that parsing takes (and so reach a handler), and those that it refuses, evenly picked."""
    taken, refused = [], []
    for one in changed(*topics):
        try:
            decode(MODELS_BY_TOPIC[one.record.topic], value=one.record.value, headers=one.record.headers)
            taken.append(one.record)
        except Poison:
            refused.append(one.record)
    return [*_evenly(taken, TAKEN_AT_MOST), *_evenly(refused, REFUSED_AT_MOST)]


def _evenly(records: Sequence[OutgoingRecord], most: int) -> Sequence[OutgoingRecord]:
    return records[:: max(1, len(records) // most)]


async def publish(log: EventLog, records: Sequence[OutgoingRecord]) -> None:
    async with log.publisher() as publisher:
        await publisher.publish(list(records))


async def letters(log: EventLog) -> list[DeadLetter]:
    found = []
    for record in await read_all(log, DEAD_LETTERS):
        event = decode(DEAD_LETTER_MODELS, value=record.value, headers=record.headers).event
        if isinstance(event, DeadLetter):
            found.append(event)
    return found


_BEHIND = """
SELECT count(*) AS behind FROM eventlog.partition p
LEFT JOIN eventlog.ownership o ON o.partition_id = p.partition_id AND o.group_name = %s
WHERE p.topic = %s AND p.next_offset > p.start_offset AND coalesce(o.committed_offset, 0) < p.next_offset
"""


async def all_read(database: Database, group: str, topic: str) -> bool:
    async with database.transaction() as tx:
        row = await (await tx.execute(_BEHIND.encode(), (group, topic))).fetchone()
    return row is not None and row["behind"] == 0


async def test_the_matcher_reads_on_behind_a_revision_no_column_takes(fresh_database: str) -> None:
    async with postgres_harness(fresh_database) as harness:
        await harness.log.ensure_topics(TOPICS)
        value, content_id = bytes.fromhex(pdq(1)), uuid4()
        good = content_record(content(uuid4(), 1, registered(near(value, 60))))
        assert good.value is not None
        huge = good.value.replace(b'"revision":1', b'"revision":%d' % 2**63)
        assert huge != good.value
        bad = OutgoingRecord(topic=CONTENT.name, key=good.key, value=huge, headers=good.headers)
        await publish(harness.log, [bad, *some(CONTENT.name), *some(SIGHTINGS.name)])
        seen = sighting("https://site.test/1.jpg", seen_value(near(value, 3)))
        for _ in range(2):  # a restart reads the content again
            async with watch_matches(harness.log) as matches, running_matcher(harness.log):
                await publish(harness.log, [content_record(content(content_id, 1, registered(value)))])
                await publish(harness.log, [sightings_record(seen)])
                await until(lambda: content_id in {one.content_id for one in matches.matches}, what="the match")
        told = {(one.topic, one.offset) for one in await letters(harness.log)}
        assert (CONTENT.name, 0) in told
        assert {topic for topic, _ in told} == {CONTENT.name, SIGHTINGS.name}


async def test_the_notifier_reads_on_behind_any_record(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site, body = world.hosts["site"], picture(1)
        url = site.show("/media/1.png", body)
        await world.know_hosts()
        log, database = world.runtime.log, world.runtime.database
        topics = (CONTENT.name, CLAIMS.name, MATCHES.name, DECISIONS.name)
        for topic in topics:
            await publish(log, some(topic))
        content_id = await world.confirmed(body)
        takedown = await world.match(content_id, url)
        await world.until(lambda: world.state(takedown), seconds=SECONDS, what="the takedown behind them")
        for group, read in GROUPS.items():
            await world.until(partial(all_read, database, group, read.name), seconds=SECONDS, what=group)
        assert {one.topic for one in await letters(log)} == set(topics)
        await world.restart()
        url = site.show("/media/2.png", body)
        await world.until(lambda: world.match(content_id, url), what="another match")


async def test_intake_reads_on_behind_any_record(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        declarer, confirmer = await intake.member("declarer"), await intake.member("confirmer")
        claim = await intake.confirmed(by=declarer, confirmer=confirmer)
        content_id: UUID = await intake.real_content_id(claim["content_id"])
        for topic in (MATCHES.name, DECISIONS.name):
            await publish(intake.log, some(topic))
        stop = DecisionTaken(
            decision_id=uuid4(),
            kind=DecisionKind.SUSPEND,
            content_id=content_id,
            person_id="person-1",
            organisation_id="operations",
            reason="person",
            decided_at=NOW,
        )
        await publish(intake.log, [record_of(DECISIONS.name, str(content_id), stop)])
        await intake.content_when(lambda one: one.content_id == content_id and one.state is ContentState.SUSPENDED)
        for group, read in ((MATCHES_GROUP, MATCHES), (DECISIONS_GROUP, DECISIONS)):
            await until_true(partial(all_read, intake.database, group, read.name), seconds=SECONDS)
        assert {one.topic for one in await letters(intake.log)} == {MATCHES.name, DECISIONS.name}


async def test_what_an_index_has_no_room_for_is_no_lost_database(fresh_database: str) -> None:
    """Taken for one, its record or its job would be tried again for ever."""
    noise = b"INSERT INTO keyed SELECT string_agg(md5(n::text), '') FROM generate_series(1, 400) n"
    async with Database(fresh_database) as database:
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE keyed (name text PRIMARY KEY)")

        async def insert() -> None:
            async with database.transaction() as tx:
                await tx.execute(noise)

        with pytest.raises(errors.ProgramLimitExceeded):
            await insert()
        assert await database.reached()
