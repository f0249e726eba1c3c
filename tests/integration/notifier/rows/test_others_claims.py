"""What an answer lets an organisation conclude about another's claim on the same content: nothing that happened before its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from shared.access.keys import Role
from tests.integration.notifier.api_clients import Client, demanded
from tests.notifier_world import World, open_world, picture, serve_app

TIMES = frozenset(
    (
        "created_at",
        "changed_at",
        "started_at",
        "ended_at",
        "issued_at",
        "delivered_at",
        "received_at",
        "opened_at",
        "at",
    )
)
ROUTES = (
    "/v1/takedowns",
    "/v1/takedowns?content_id={alias}",
    "/v1/takedowns?claim_id={claim}",
    "/v1/takedowns?state=open",
    "/v1/takedowns/{takedown}",
    "/v1/tasks?state=all",
)


@asynccontextmanager
async def people(world: World) -> AsyncIterator[dict[str, Client]]:
    async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession() as session:
        yield {
            f"{role} of {organisation}": Client(
                session, base, await world.key(role, person=f"{role}-{organisation}", organisation=organisation)
            )
            for organisation in ("helpline", "helpline-z")
            for role in (Role.HELPLINE, Role.READER, Role.OPERATIONS)
        }


def moments_in(value: Any) -> Iterator[datetime]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name in TIMES and isinstance(one, str):
                yield datetime.fromisoformat(one)
            else:
                yield from moments_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from moments_in(one)


def alias_of(shown: Any) -> str:
    (item,) = shown["items"]
    alias: str = item["content_id"]
    return alias


async def answered(client: Client, route: str, **ids: object) -> Any:
    status, body = await client.get(route.format(**ids))
    assert status == 200, (route, body)
    return body


@pytest.mark.timeout(120)
async def test_what_was_before_ones_own_claim_is_in_no_answer(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world, people(world) as who:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, _ = await demanded(world)
        first, later = who["helpline of helpline"], who["helpline of helpline-z"]
        await _open_task(world, takedown)
        before = await answered(first, "/v1/takedowns/{takedown}", takedown=takedown)
        assert all(before[part] for part in ("checks", "attempts", "demands", "match", "tasks", "time_line"))

        # Without a claim: nothing, in the words that are said of what does not exist.
        assert (await answered(later, "/v1/takedowns"))["items"] == []
        assert await later.get(f"/v1/takedowns/{takedown}") == await later.get(f"/v1/takedowns/{uuid4()}")
        claim = await world.claim(content_id, organisation_id="helpline-z")

        async def known() -> bool:
            return bool((await answered(later, "/v1/takedowns"))["items"])

        await world.until(known, what="the claim known")
        since = await world.value("SELECT since FROM notifier.claims WHERE claim_id = %s", claim)
        ids = {"takedown": takedown, "claim": claim, "alias": alias_of(await answered(later, "/v1/takedowns"))}
        for route in ROUTES:
            shown = await answered(later, route, **ids)
            early = [moment for moment in moments_in(shown) if moment < since]
            assert not early, (route, "moments before the claim")
            assert str(content_id) not in json.dumps(shown), "its own name of the content alone"
        whole = await answered(later, "/v1/takedowns/{takedown}", **ids)
        assert (whole["checks"], whole["attempts"], whole["demands"], whole["answers"], whole["tasks"]) == ([],) * 5
        assert whole["match"] is None
        assert (await answered(later, "/v1/tasks?state=all"))["items"] == []
        # What happens from now on is told, counted from here.
        await world.match(content_id, site.show("/m/2.png", picture(1)))
        decision = {"kind": "recheck", "takedown_id": str(takedown), "reason": "look"}
        assert (await who["operations of helpline-z"].post("/v1/decisions", decision))[0] == 201

        async def looked() -> bool:
            return bool((await answered(later, "/v1/takedowns/{takedown}", **ids))["checks"])

        await world.until(looked, what="a look after the claim")
        whole = await answered(later, "/v1/takedowns/{takedown}", **ids)
        assert [one["sequence"] for one in whole["time_line"]] == list(range(1, len(whole["time_line"]) + 1))
        assert whole["round"] == 1
        assert len((await answered(first, "/v1/takedowns/{takedown}", takedown=takedown))["checks"]) > len(
            whole["checks"]
        )


async def _open_task(world: World, takedown: UUID) -> None:
    """One from before, whatever made it."""
    async with world.runtime.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO notifier.tasks (task_id, kind, scope, takedown_id, content_id, reason, owner, due_at, opened_at)"
            " SELECT gen_random_uuid(), 'silent', 'takedown', takedown_id, content_id, 'silent', 'operations', now(), now()"
            " FROM notifier.takedowns WHERE takedown_id = %s",
            (takedown,),
        )


async def test_who_was_shown_a_url_is_kept_and_the_url_is_not(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world, people(world) as who:
        await world.know_hosts()
        await world.outbound()
        _, takedown, item = await demanded(world)
        read = {
            "helpline of helpline": True,
            "operations of helpline-z": True,
            "reader of helpline": False,  # is shown no URL
            "helpline of helpline-z": False,  # is shown nothing
        }
        for name in (*read, *read):  # twice: somebody who looks again has read it once
            await who[name].get("/v1/takedowns")
            await who[name].get(f"/v1/takedowns/{takedown}")
        rows = await world.rows(
            "SELECT person_id, organisation_id, key_id, action, object_kind, object_id FROM access.audit"
            " WHERE object_kind = 'takedown'"
        )
        kept = {(row["person_id"], row["action"], row["object_id"]) for row in rows}
        people_of = {name: name.replace(" of ", "-") for name in read}
        assert kept == {
            (people_of[name], action, str(takedown))
            for name, does in read.items()
            if does
            for action in ("takedown.listed", "takedown.read")
        }
        assert len(rows) == len(kept)
        assert item["url"] not in str(rows)
