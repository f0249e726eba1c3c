"""From a match to a confirmed removal, and what the demand says of its claims: on real PostgreSQL, over real HTTP."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook

from shared.contracts.claims import ClaimState
from shared.contracts.content import Assurance
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


FULL: dict[str, Any] = {
    "authority_recorded": True,
    "evidence_wanted": True,
    "assurance": Assurance.VIEWED,
}
BARE: dict[str, Any] = {"authority_recorded": False, "evidence_wanted": False, "assurance": Assurance.UNSEEN}


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ((FULL,), True),
        ((BARE,), False),
        ((BARE, FULL), True),
        ((FULL, BARE), True),
        ((BARE, FULL | {"state": ClaimState.WITHDRAWN}), False),
        ((BARE, FULL | {"state": ClaimState.AWAITING_CONFIRMATION}), False),
    ],
)
async def test_what_is_so_of_one_live_claim_is_said(
    fresh_database: str, claims: tuple[dict[str, Any], ...], said: bool
) -> None:
    async with open_world(fresh_database, "site", reviewed_by="A. Reviewer") as world:
        site = world.hosts["site"]
        await world.know_hosts(site={"bound_by": "uk_osa_20a"})
        await world.outbound()
        body = picture(1)
        content_id = await world.content(body)
        for one in claims:
            await world.claim(content_id, **one)

        async def known() -> bool:
            return len(await world.rows("SELECT 1 FROM notifier.claims")) == len(claims)

        await world.until(known, what="the claims")
        await world.match(content_id, site.show("/m/1.png", body))
        await world.until(lambda: site.received, what="the demand")
        item = site.received[0].item
        assert (item.get("capacity") == "acting_for_person_depicted") is said
        assert ("with recorded authority" in item["statement"]) is said
        assert ("Two people" in item["statement"]) is said
        assert ("preserve" in item) is said
        assert (item.get("regime") == "uk_osa_20a") is said
        assert urlsplit(item["answer_url"]).path == f"/host/v1/demands/{item['demand_id']}"
