"""From a match to a confirmed removal: on real PostgreSQL, over real HTTP."""

from __future__ import annotations

import json

from standardwebhooks.webhooks import Webhook

from tests.notifier_world import open_world, picture


async def test_from_a_match_to_a_confirmed_removal(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        body = picture(1)
        url = site.show("/media/1.png", body)
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(body)
        takedown = await world.match(content_id, url)

        await world.until(lambda: site.received, what="the demand")
        first = site.received[0]
        verified = Webhook(site.secret).verify(first.body, first.headers)
        assert verified == json.loads(first.body)
        assert first.kind == "demand.issued"
        assert first.item["url"] == url
        assert site.fetched.count("/media/1.png") >= 1, "no demand without our own look"

        site.remove("/media/1.png", 410)
        await world.until_state(takedown, "removed")
        assert "demand.delivered" in await world.history(takedown)
        items = await world.rows("SELECT message_id, demand_id FROM notifier.message_items ORDER BY message_id")
        assert items == await world.rows("SELECT message_id, demand_id FROM notifier.messages ORDER BY message_id")
        assert len(items) == 2, "the demand, and that it is closed"
