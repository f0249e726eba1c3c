"""The negative list in the notifier: its entries are no content, and what carries the guard is never acted on."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from shared.contracts.content import NegativeEntry
from shared.contracts.matches import Guard
from shared.contracts.topics import CONTENT
from tests.notifier_world import BY_PERSON, open_world, picture


async def test_entries_on_the_content_topic_are_no_content(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        entry = NegativeEntry(entry_id=uuid4(), algorithm="md5", value="ab" * 16, confirmed_at=datetime.now(UTC))
        await world.publish(CONTENT, str(entry.entry_id), entry)
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, world.hosts["site"].show("/x.png", picture(1)))
        await world.until_state(takedown, "open")
        assert await world.value("SELECT count(*) FROM notifier.content WHERE content_id = %s", entry.entry_id) == 0
        await world.tombstone(entry.entry_id)
        other = await world.match(content_id, world.hosts["site"].show("/y.png", picture(1)))
        await world.until_state(other, "open")
        letters = """
            SELECT count(*) FROM eventlog.record JOIN eventlog.partition USING (partition_id)
            WHERE topic = 'takedown.dead-letters'
        """
        assert await world.value(letters) == 0


async def test_what_carries_the_guard_is_never_acted_on(fresh_database: str) -> None:
    """Whoever says so, and also when everything is read again by a process that remembers nothing."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        guards = (Guard.NEGATIVE_LIST,)
        guarded = [
            await world.match(content_id, site.show("/a.png", picture(1)), guards=guards),
            await world.match(content_id, site.show("/b.png", picture(1)), guards=guards, distance=0),
            await world.match(content_id, site.show("/c.png", picture(1)), guards=guards, **BY_PERSON),
        ]
        mark = await world.match(content_id, site.show("/mark.png", picture(1)))
        await world.until_state(mark, "open")
        await world.stop()
        await world.rows("DELETE FROM notifier.inbox RETURNING 1")
        await world.rows("DELETE FROM eventlog.ownership RETURNING 1")
        await world.restart()
        second = await world.match(content_id, site.show("/second.png", picture(1)))
        await world.until_state(second, "open")
        assert [await world.state(one) for one in guarded] == [None] * 3
        assert not set(site.fetched) & {"/a.png", "/b.png", "/c.png"}
        # The entry is removed, and the sighting told again.
        again = await world.match(content_id, site.show("/a.png", picture(1)))
        assert again == guarded[0]
        await world.until_state(again, "open")


async def test_a_guarded_sighting_does_not_reopen_what_was_removed(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        content_id = await world.confirmed(picture(1))
        url = site.url("/gone.png")
        site.remove("/gone.png")
        takedown = await world.match(content_id, url)
        await world.until_state(takedown, "removed", seconds=30)
        looks = len(site.fetched)
        await world.match(content_id, url, guards=(Guard.NEGATIVE_LIST,))
        mark = await world.match(content_id, site.show("/mark.png", picture(1)))
        await world.until_state(mark, "open")
        assert [path for path in site.fetched[looks:] if path == "/gone.png"] == []
