"""A person's word (`basis: person`): held until our fetch matches the register or another person releases it."""

from __future__ import annotations

import aiohttp

from shared.access.keys import Role
from tests.notifier_world import BY_PERSON, open_world, picture, serve_app


async def test_an_assertion_waits_for_another_person_and_then_has_its_own_reference(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        # A crop that no fingerprint of the register agrees with: only a person can say that it is the same.
        takedown = await world.match(content_id, site.show("/crop.png", picture(2)), **BY_PERSON)
        await world.until_state(takedown, "held")
        await world.until(lambda: site.fetched, what="our own look")

        async def kept() -> bool:
            return bool(
                await world.value("SELECT count(*) FROM notifier.reference_fingerprints WHERE adopted_at IS NULL")
            )

        await world.until(kept)
        assert site.received == []
        async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession() as session:
            body = {"kind": "release", "takedown_id": str(takedown), "reason": "compared the two"}
            for person_id, status in (("person-1", 409), ("person-2", 201)):
                headers = await world.key(Role.OPERATIONS, person=person_id)
                async with session.post(f"{base}/v1/decisions", json=body, headers=headers) as answer:
                    assert answer.status == status, await answer.text()
        await world.until(lambda: site.received, what="the demand")
        assert site.received[0].item["established_by"] == "person"
        # The reference is what was fetched then: another picture there is no agreement.
        site.show("/crop.png", picture(3))
        await world.rows("UPDATE notifier.due_checks SET due_at = clock_timestamp() RETURNING 1")
        await world.rows("SELECT pg_notify('notifier_checks', '')")
        await world.until_state(takedown, "removed", seconds=30)
        assert await world.value("SELECT removed_for FROM notifier.takedowns") == "replaced"


async def test_an_assertion_that_our_fetch_matches_needs_nobody(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        await world.match(
            content_id,
            site.show("/x.png", picture(1)),
            basis="person",
            asserted_by="person-1",
            algorithm=None,
            distance=None,
            orientation=None,
            quality=None,
            fingerprint_ref=None,
        )
        await world.until(lambda: site.received, what="the demand")
