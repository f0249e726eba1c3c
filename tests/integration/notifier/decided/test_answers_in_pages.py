"""What recipients answered is shown in pages; a reader sees no word of theirs."""

from __future__ import annotations

from shared.access.keys import Role
from tests.notifier_world import open_world, picture


async def test_answers_are_shown_in_pages(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        takedown = await world.match(await world.confirmed(picture(1)), site.show("/x.png", picture(1)))
        await world.until(lambda: site.kinds() == ["demand.issued"], what="the demand")
        demand_id = site.received[0].item["demand_id"]
        await world.run(
            "INSERT INTO notifier.answers (answer_id, demand_id, takedown_id, kind, details, via, received_at)"
            " SELECT gen_random_uuid(), %s, %s, 'acknowledgement', jsonb_build_object('ticket_ref', n::text), 'api',"
            " now() + n * interval '1 s' FROM generate_series(1, 205) AS n",
            demand_id,
            takedown,
        )
        path = f"/v1/takedowns/{takedown}/answers"
        seen, cursor = [], ""
        while True:
            status, page = await world.ask("GET", f"{path}?limit=100{cursor}")
            assert status == 200
            seen += [one["details"]["ticket_ref"] for one in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert seen == [str(number) for number in range(1, 206)]
        _, whole = await world.ask("GET", f"/v1/takedowns/{takedown}")
        assert [one["details"]["ticket_ref"] for one in whole["answers"]] == seen[-200:]
        _, page = await world.ask("GET", path, role=Role.READER)
        assert all("details" not in one for one in page["items"])
        assert (await world.ask("GET", "/v1/takedowns/00000000-0000-4000-8000-000000000000/answers"))[0] == 404
