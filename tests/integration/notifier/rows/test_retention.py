"""What the notifier keeps for a time only goes in time, and not before."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from services.notifier.maintenance import retention
from services.notifier.maintenance.metrics import Gauges
from services.notifier.maintenance.retention import Retention
from shared.policy import Policy
from tests.notifier_world import World, open_world

_CONTENT = "INSERT INTO notifier.content (content_id, revision, state) VALUES (%s, 2, %s) RETURNING 1"
_CLAIM = """
INSERT INTO notifier.claims (claim_id, content_id, revision, state, organisation_id, do_not_contact, changed_at)
VALUES (gen_random_uuid(), %s, 1, %s, 'helpline', '{a.test}', now()) RETURNING 1
"""
_TAKEDOWN = """
INSERT INTO notifier.takedowns (takedown_id, content_id, target_kind, state, round, sequence, key_version, data, match_basis,
    holds_released, wants_demand, created_at, changed_at)
VALUES (%s, %s, 'media', 'withdrawn', 1, 1, 1, '{}', 'fingerprint', '{}', false, now(), now()) RETURNING 1
"""
_MESSAGE = """
INSERT INTO notifier.messages (message_id, takedown_id, demand_id, recipient, kind, number, state, due_at)
VALUES (%s, %s, gen_random_uuid(), 'a', %s, 1, %s, now()) RETURNING 1
"""
_ATTEMPT = """
INSERT INTO notifier.attempts (attempt_id, message_id, takedown_id, number, channel, started_at, outcome, body_sha256)
VALUES (gen_random_uuid(), %s, %s, 1, 'webhook', now() - %s::interval, %s, '') RETURNING 1
"""
_MARKS = """
INSERT INTO notifier.inbox (group_name, event_id, handled_at)
SELECT 'g', n::text, now() - n * interval '1 day' FROM generate_series(1, 100) AS n RETURNING 1
"""


async def withdrawn(world: World, *, content: str = "withdrawn", claim: str = "withdrawn") -> UUID:
    """A content with a claim that says whom not to contact, and a takedown of it; the takedown's id."""
    content_id, takedown = uuid4(), uuid4()
    await world.rows(_CONTENT, content_id, content)
    await world.rows(_CLAIM, content_id, claim)
    await world.rows(_TAKEDOWN, takedown, content_id)
    return takedown


async def message(world: World, takedown: UUID, kind: str, state: str) -> UUID:
    message_id = uuid4()
    await world.rows(_MESSAGE, message_id, takedown, kind, state)
    return message_id


async def known(world: World, takedown: UUID) -> bool:
    """Whether it is still known whom not to contact about its content."""
    rows = await world.rows(
        "SELECT do_not_contact FROM notifier.claims JOIN notifier.takedowns USING (content_id) WHERE takedown_id = %s",
        takedown,
    )
    return bool(rows[0]["do_not_contact"])


async def tidied(world: World) -> None:
    await Retention(world.runtime.database, Policy()).tidy_up()


async def test_whom_not_to_contact_is_forgotten_once_nobody_is_left_to_be_told(fresh_database: str) -> None:
    async with open_world(fresh_database, start=False) as world:
        nobody, told, waiting, idle, under_way, died, active, live = [
            await withdrawn(world),
            await withdrawn(world),
            await withdrawn(world),
            await withdrawn(world),
            await withdrawn(world),
            await withdrawn(world),
            await withdrawn(world, content="active"),
            await withdrawn(world, claim="confirmed"),
        ]
        await message(world, told, "demand.retracted", "accepted")
        retraction = await message(world, waiting, "demand.retracted", "due")
        await message(world, idle, "demand.retracted", "idle")
        for takedown, started in ((under_way, timedelta(seconds=5)), (died, timedelta(days=1))):
            sent = await message(world, takedown, "demand.issued", "ended")
            await world.rows(_ATTEMPT, sent, takedown, started, None)
        await Gauges(world.runtime).refresh()
        assert await known(world, nobody), "counting erases nothing"
        await tidied(world)
        forgotten = {nobody, told, died}
        for takedown in (nobody, told, waiting, idle, under_way, died, active, live):
            assert await known(world, takedown) == (takedown not in forgotten)

        await world.rows(
            "UPDATE notifier.messages SET state = 'accepted' WHERE message_id = %s RETURNING 1", retraction
        )
        await world.rows("UPDATE notifier.attempts SET outcome = 'accepted' RETURNING 1")
        await tidied(world)
        for takedown in (waiting, under_way):
            assert not await known(world, takedown)


async def test_marks_of_events_that_cannot_come_again_go_in_batches(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MARKS_AT_ONCE", 10)
    async with open_world(fresh_database, start=False) as world:
        await world.rows(_MARKS)
        await Gauges(world.runtime).refresh()
        assert await world.value("SELECT count(*) FROM notifier.inbox") == 100, "counting erases nothing"
        await tidied(world)
        assert await world.value("SELECT count(*) FROM notifier.inbox") == 61
        assert await world.value("SELECT max(event_id::int) FROM notifier.inbox") == 61


async def test_it_is_done_without_being_asked(fresh_database: str) -> None:
    async with open_world(fresh_database) as world:
        takedown = await withdrawn(world)

        async def forgotten() -> bool:
            return not await known(world, takedown)

        await world.until(forgotten)
