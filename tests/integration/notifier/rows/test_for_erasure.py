"""What is looked for to be erased is no content: nothing comes of a match of it, and nothing of it is kept."""

from __future__ import annotations

from tests.notifier_world import open_world, picture


async def test_no_match_of_what_is_to_be_erased_is_acted_on_or_kept(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        shown = picture(1)
        search = await world.content(shown, for_erasure=True, fetching="stopped")
        await world.match(search, site.show("/x.png", shown))
        await world.until_true("SELECT state = 'withdrawn' FROM notifier.content WHERE content_id = %s", search)
        await world.match(search, site.show("/y.png", shown))
        other = await world.match(await world.confirmed(picture(2)), site.show("/other.png", picture(2)))
        await world.until_state(other, "open")
        await world.until_true("SELECT count(*) = 0 FROM notifier.waiting_matches")
        assert await world.value("SELECT count(*) FROM notifier.takedowns WHERE content_id = %s", search) == 0
        assert (
            await world.value("SELECT fingerprints::text FROM notifier.content WHERE content_id = %s", search) == "[]"
        )
        assert site.fetched == ["/other.png"]

        await world.tombstone(search)
        await world.match(search, site.show("/z.png", shown))
        third = await world.match(await world.confirmed(picture(3)), site.show("/third.png", picture(3)))
        await world.until_state(third, "open")
        assert await world.value("SELECT count(*) FROM notifier.takedowns WHERE content_id = %s", search) == 0
