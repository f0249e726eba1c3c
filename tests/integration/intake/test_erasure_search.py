"""Withdrawn content is looked for in what was seen, under another id, and each match of it is an erasure."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.intake.maintenance.retention import Sweeps
from shared.access.keys import Role
from shared.contracts.content import ContentChanged, ContentState
from shared.contracts.sightings import UrlErased
from shared.contracts.topics import CONTENT, SIGHTINGS
from shared.policy import Policy
from shared.urls import canonical
from tests.integration.intake.harness import Intake, md5, running_intake, until
from tests.integration.intake.test_erasure import match, post_sightings, withdraw

SEEN = "https://host.test/seen-while-suspended.jpg"


async def searched_for(intake: Intake) -> ContentChanged:
    async def look() -> ContentChanged | None:
        return next(iter(await intake.contents(for_erasure=True)), None)

    return await until(look)


async def is_over(intake: Intake, search_id: UUID) -> None:
    """Its tombstone is on the log."""

    async def look() -> bool:
        records = [one for one in await intake.records(CONTENT.name) if one.key == str(search_id).encode()]
        return bool(records) and records[-1].value is None

    await until(look)


@pytest.mark.parametrize("final", ["by_a_second_person", "by_itself"])
async def test_what_was_seen_of_withdrawn_content_is_erased(fresh_database: str, final: str) -> None:
    async with running_intake(fresh_database, policy=Policy(clock_scale=0.0001)) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        await post_sightings(intake, await intake.member("crawler", Role.CRAWLER), SEEN)
        hashes = [{"algorithm": "md5", "value": md5(1)}, {"algorithm": "md5", "value": md5(2)}]
        claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=hashes)
        await withdraw(intake, claim, *((ann, ben) if final == "by_a_second_person" else (ann,)))
        search = await searched_for(intake)
        real = await intake.real_content_id(claim["content_id"])
        assert search.content_id != real
        assert (search.state, search.fetching) == (ContentState.ACTIVE, "stopped")
        assert {one.value for one in search.fingerprints} == {md5(1), md5(2)}

        await match(intake, search.content_id, SEEN)  # as a matcher answers

        async def told() -> bool:
            events = [one for one in await intake.events(SIGHTINGS.name) if isinstance(one, UrlErased)]
            return [one.url_key for one in events] == [canonical(SEEN).url_key]

        await until(told)
        await is_over(intake, search.content_id)
        assert await intake.rows("SELECT 1 FROM intake.erasure_searches") == []


async def test_what_was_never_published_is_not_looked_for(fresh_database: str) -> None:
    async with running_intake(fresh_database, policy=Policy(clock_scale=0.0001)) as intake:
        ann = await intake.member("ann")
        claim = await intake.declare(by=ann)
        await withdraw(intake, claim, ann)
        await intake.relay_idle()
        assert await intake.contents(for_erasure=True) == []


async def test_it_is_over_only_after_the_log_has_had_it_for_its_time(fresh_database: str) -> None:
    """The broker was away: what is not told yet is not over."""
    async with running_intake(fresh_database, workers=False) as intake:
        await intake.rows(
            "INSERT INTO intake.erasure_searches (search_id, begun_at) VALUES ('00000000-0000-4000-8000-00000000000a',"
            " now() - interval '1 day') RETURNING 1"
        )
        await intake.rows(
            "INSERT INTO intake.outbox (outbox_id, topic, key, type, data, parked_at) VALUES (gen_random_uuid(), 'takedown.content',"
            " '00000000-0000-4000-8000-00000000000a', 'takedown.content.v1', 'x', now()) RETURNING 1"
        )
        await Sweeps(intake.database, Policy(clock_scale=0.0001)).end_retention()
        rows = await intake.rows("SELECT told_at FROM intake.erasure_searches")
        assert [row["told_at"] for row in rows] == [None]
