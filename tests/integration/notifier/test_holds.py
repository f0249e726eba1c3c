"""What is put on hold: also what nobody knows, which is said; never what is no domain, or everybody's."""

from __future__ import annotations

import httpx

from shared.access.keys import Role
from shared.service.app import create_app
from tests.notifier_world import open_world, picture


async def test_what_is_put_on_hold(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", start=False) as world:
        await world.know_hosts()
        await world.start()
        await world.match(await world.confirmed(picture(1)), "http://img.elsewhere.test/x.png")

        async def begun() -> bool:
            return bool(await world.value("SELECT count(*) = 1 FROM notifier.takedowns"))

        await world.until(begun)
        transport = httpx.ASGITransport(app=create_app(world.runtime, [world.service]))
        headers = await world.key(Role.OPERATIONS)
        async with httpx.AsyncClient(transport=transport, base_url="http://notifier.test", headers=headers) as client:
            for domain, known in {
                "site.test": True,
                "img.elsewhere.test": True,
                "elsewhere.test": True,
                "test": True,
                "a.site.test": False,
                "sit.test": False,
                "lsewhere.test": False,
                "nobody.example": False,
            }.items():
                answer = await client.post(f"/v1/hosts/{domain}/hold")
                assert answer.json() == {"domain": domain, "held": True, "known": known}
            for domain in ("256.256.256.256", "256.256.256.256..", "..", "%00", "a%20b", "com", "co.uk", "["):
                answer = await client.post(f"/v1/hosts/{domain}/hold")
                assert answer.status_code in (404, 422), (domain, answer.text)
            assert (await client.get("/v1/outbound")).json()["holds"] == sorted(
                [
                    "site.test",
                    "img.elsewhere.test",
                    "elsewhere.test",
                    "test",
                    "a.site.test",
                    "sit.test",
                    "lsewhere.test",
                    "nobody.example",
                ]
            )
