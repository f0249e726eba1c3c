"""The negative list over HTTP: four eyes, apart from content whichever comes first, published and removed, no value shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.intake.claims.keys import revoke_key_and_suspend
from services.intake.service import SCHEMA
from shared.access.keys import Role
from shared.contracts.content import ContentChanged, ContentState, NegativeEntry
from shared.contracts.topics import CONTENT
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database
from shared.policy import Policy
from tests.integration.intake.harness import ACCESS, Intake, Member, claim_body, md5, pdq, running_intake, until

LIST = "/v1/negative-list"


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


def away(value: str, bits: int) -> str:
    """`value` with its first so many bits changed."""
    return f"{int(value, 16) ^ ((1 << bits) - 1) << 256 - bits:064x}"


def entry_body(value: str, algorithm: str = "pdq") -> dict[str, Any]:
    return {"algorithm": algorithm, "value": value, "reason": "placeholder of a platform"}


async def two(intake: Intake) -> tuple[Member, Member]:
    return await intake.member("olga", Role.OPERATIONS), await intake.member("omar", Role.OPERATIONS)


async def add(intake: Intake, value: str, algorithm: str = "pdq") -> str:
    """A confirmed entry; its id."""
    olga, omar = await two(intake)
    declared = await intake.post(LIST, entry_body(value, algorithm), by=olga)
    assert declared.status_code == 201, declared.text
    entry_id: str = declared.json()["entry_id"]
    confirmed = await intake.post(f"{LIST}/{entry_id}/confirmation", by=omar)
    assert confirmed.status_code == 200, confirmed.text
    return entry_id


async def actions(intake: Intake) -> list[tuple[str, str]]:
    rows = await intake.rows(
        "SELECT action, person_id FROM access.audit WHERE object_kind = 'negative_entry' ORDER BY audit_id"
    )
    return [(row["action"], row["person_id"]) for row in rows]


def refused(response: httpx.Response, status: int, pointer: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in response.json().get("errors", [])] == ([pointer] if pointer else [])


async def test_declared_confirmed_by_another_published_and_removed(intake: Intake) -> None:
    olga, omar = await two(intake)
    declared = await intake.post(LIST, entry_body(pdq(1)), by=olga, key="k")
    again = await intake.post(LIST, entry_body(pdq(1)), by=olga, key="k")
    assert (declared.status_code, declared.json()) == (201, again.json())
    assert declared.json()["state"] == "awaiting_confirmation"
    entry_id = declared.json()["entry_id"]
    refused(await intake.post(f"{LIST}/{entry_id}/confirmation", by=olga), 403)
    await intake.relay_idle()
    assert await intake.records(CONTENT.name) == []  # one person's word tells nobody

    confirmed = await intake.post(f"{LIST}/{entry_id}/confirmation", by=omar)
    assert (confirmed.json()["state"], confirmed.json()["confirmed_by"]) == ("confirmed", "omar")
    refused(await intake.post(f"{LIST}/{entry_id}/confirmation", by=omar), 409)
    refused(await intake.post(LIST, entry_body(pdq(1)), by=omar), 409)
    await intake.relay_idle()
    (event,) = await intake.events(CONTENT.name)
    assert isinstance(event, NegativeEntry)
    assert (str(event.entry_id), event.algorithm, event.value) == (entry_id, "pdq", pdq(1))

    removed = await intake.post(f"{LIST}/{entry_id}/removal", by=olga)
    assert removed.json() == {"entry_id": entry_id, "state": "removed"}
    refused(await intake.post(f"{LIST}/{entry_id}/removal", by=olga), 404)
    await intake.relay_idle()
    last = (await intake.records(CONTENT.name))[-1]
    assert (last.key, last.value) == (entry_id.encode(), None)
    assert await intake.rows("SELECT 1 FROM intake.negative_list") == []
    assert await actions(intake) == [
        ("negative_entry.declared", "olga"),
        ("negative_entry.confirmed", "omar"),
        ("negative_entry.removed", "olga"),
    ]


async def test_the_list_shows_a_digest_and_never_a_value(intake: Intake) -> None:
    for number in range(3):
        await add(intake, pdq(number))
    olga, _ = await two(intake)
    first = await intake.get(LIST, by=olga, limit="2")
    rest = await intake.get(LIST, by=olga, limit="2", cursor=first.json()["next"])
    items = [*first.json()["items"], *rest.json()["items"]]
    assert rest.json()["next"] is None
    assert len({item["fingerprint_ref"] for item in items}) == 3
    assert {item["reason"] for item in items} == {"placeholder of a platform"}
    assert not any(pdq(number) in first.text + rest.text for number in range(3))


async def test_operations_alone(intake: Intake) -> None:
    for role in (Role.HELPLINE, Role.CRAWLER, Role.READER):
        other = await intake.member(f"a-{role}", role)
        assert (await intake.get(LIST, by=other)).status_code == 403
        assert (await intake.post(LIST, entry_body(pdq(1)), by=other)).status_code == 403
        for step in ("confirmation", "removal"):
            assert (await intake.post(f"{LIST}/{uuid4()}/{step}", by=other)).status_code == 403


async def test_a_useless_hash_or_no_reason_is_refused(intake: Intake) -> None:
    olga, _ = await two(intake)
    refused(await intake.post(LIST, entry_body("00" * 32), by=olga), 422, "#")
    refused(await intake.post(LIST, entry_body("d41d8cd98f00b204e9800998ecf8427e", "md5"), by=olga), 422, "#")
    refused(await intake.post(LIST, {**entry_body(pdq(1)), "reason": "  "}, by=olga), 422, "#/reason")


@pytest.mark.parametrize("state", ["awaiting", "active", "suspended", "withdrawing"])
async def test_no_entry_near_content_and_none_is_told_whose(intake: Intake, state: str) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    olga, _ = await two(intake)
    fingerprints = [{"algorithm": "pdq", "value": pdq(1), "quality": 90}, {"algorithm": "md5", "value": md5(1)}]
    if state == "awaiting":
        await intake.declare(by=ann, fingerprints=fingerprints)
    else:
        claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=fingerprints)
        if state == "suspended":
            await intake.post(f"/v1/content/{claim['content_id']}/suspension", by=ann)
        if state == "withdrawing":
            await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", {"reason": "subject_request"}, by=ann)
    for value, algorithm in ((pdq(1), "pdq"), (away(pdq(1), 31), "pdq"), (md5(1), "md5")):
        response = await intake.post(LIST, entry_body(value, algorithm), by=olga)
        refused(response, 422, "#/value")
        assert value not in response.text
        assert not any(word in response.text for word in ("ann", "helpline-a", "HL-2026"))
    assert await actions(intake) == [("negative_entry.refused", "olga")] * 3
    assert (await intake.post(LIST, entry_body(away(pdq(1), 32)), by=olga)).status_code == 201
    assert (await intake.post(LIST, entry_body(md5(2), "md5"), by=olga)).status_code == 201


async def test_content_declared_meanwhile_stops_the_confirmation(intake: Intake) -> None:
    olga, omar = await two(intake)
    ann = await intake.member("ann")
    entry_id = (await intake.post(LIST, entry_body(away(pdq(1), 31)), by=olga)).json()["entry_id"]
    await intake.declare(by=ann)  # an entry of one person stands in nobody's way
    refused(await intake.post(f"{LIST}/{entry_id}/confirmation", by=omar), 422)
    assert (await actions(intake))[-1] == ("negative_entry.refused", "omar")
    await intake.relay_idle()
    assert await intake.records(CONTENT.name) == []


async def test_a_claim_near_an_entry_is_refused_until_it_is_removed(intake: Intake) -> None:
    """Never accepted and then silently not acted on."""
    entry_id = await add(intake, pdq(1))
    exact = await add(intake, md5(5), "md5")
    ann, olga = await intake.member("ann"), (await two(intake))[0]
    near = [
        {"algorithm": "sha1", "value": "ab" * 20},
        {"algorithm": "pdq", "value": away(pdq(1), 31), "quality": 90},
    ]
    body = claim_body(fingerprints=near)
    refused(await intake.post("/v1/claims", body, by=ann, key="k"), 422, "#/fingerprints/1")
    equal = claim_body(fingerprints=[{"algorithm": "md5", "value": md5(5)}])
    refused(await intake.post("/v1/claims", equal, by=ann, key="k2"), 422, "#/fingerprints/0")
    assert await intake.rows("SELECT 1 FROM intake.claims") == []
    await intake.declare(by=ann, fingerprints=[{"algorithm": "pdq", "value": away(pdq(1), 32), "quality": 90}])
    await intake.post(f"{LIST}/{entry_id}/removal", by=olga)
    await intake.post(f"{LIST}/{exact}/removal", by=olga)
    assert (await intake.post("/v1/claims", body, by=ann, key="k")).status_code == 201
    assert (await intake.post("/v1/claims", equal, by=ann, key="k2")).status_code == 201


async def test_a_variant_near_an_entry_is_refused(intake: Intake) -> None:
    await add(intake, pdq(7))
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim = await intake.confirmed(by=ann, confirmer=ben)
    variants = {"fingerprints": [{"algorithm": "pdq", "value": pdq(7), "quality": 90}], "assurance": "viewed"}
    path = f"/v1/content/{claim['content_id']}/fingerprints"
    refused(await intake.post(path, variants, by=ann), 422, "#/fingerprints/0")


async def test_an_entry_and_a_claim_at_once(intake: Intake) -> None:
    """Whoever comes second sees the first: never both."""
    olga, omar = await two(intake)
    ann = await intake.member("ann")
    for number in range(10, 18):
        value = pdq(number)
        entry_id = (await intake.post(LIST, entry_body(away(value, 20)), by=olga)).json()["entry_id"]
        body = claim_body(fingerprints=[{"algorithm": "pdq", "value": value, "quality": 90}])
        confirmed, claimed = await asyncio.gather(
            intake.post(f"{LIST}/{entry_id}/confirmation", by=omar),
            intake.post("/v1/claims", body, by=ann, key=uuid4().hex),
        )
        assert sorted((confirmed.status_code // 100, claimed.status_code // 100)) == [2, 4]


async def test_a_revoked_keys_entries_go(intake: Intake) -> None:
    await add(intake, pdq(1))
    _, omar = await two(intake)
    await revoke_key_and_suspend(intake.database, omar.key_id)
    assert await intake.rows("SELECT 1 FROM intake.negative_list") == []
    await intake.relay_idle()
    assert (await intake.records(CONTENT.name))[-1].value is None


async def test_an_entry_nobody_confirms_is_erased(fresh_database: str) -> None:
    policy = Policy(unconfirmed_erased_after=timedelta(seconds=200), clock_scale=0.01)
    async with running_intake(fresh_database, policy=policy) as intake:
        kept = await add(intake, pdq(1))
        olga, _ = await two(intake)
        await intake.post(LIST, entry_body(pdq(2)), by=olga)

        async def only_the_confirmed() -> bool:
            rows = await intake.rows("SELECT entry_id FROM intake.negative_list")
            return [str(row["entry_id"]) for row in rows] == [kept]

        await until(only_the_confirmed)
        assert ("negative_entry.removed", "takedown") in await actions(intake)


async def test_max_distance_of_a_claims_fingerprint_is_published(intake: Intake) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")

    def limited(value: str, **more: Any) -> dict[str, Any]:
        return {"algorithm": "pdq", "value": value, "quality": 90, **more}

    for bad in (limited(pdq(1), max_distance=32), {"algorithm": "md5", "value": md5(1), "max_distance": 0}):
        response = await intake.post("/v1/claims", claim_body(fingerprints=[bad]), by=ann, key=uuid4().hex)
        assert response.status_code == 422, response.text
    fingerprints = [limited(pdq(1), max_distance=10), limited(pdq(2))]
    claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=fingerprints)
    assert [one["max_distance"] for one in claim["fingerprints"]] == [10, None]
    event = await intake.content_when(lambda event: event.state is ContentState.ACTIVE)
    assert limits(event) == {pdq(1): 10, pdq(2): None}

    # Another claim's wider limit counts; one claim never narrows another's.
    cleo, dora = await intake.member("cleo", organisation="b"), await intake.member("dora", organisation="b")
    wider = [limited(pdq(1), max_distance=20), limited(pdq(2), max_distance=5)]
    await intake.confirmed(by=cleo, confirmer=dora, fingerprints=wider)
    await intake.content_when(lambda event: limits(event) == {pdq(1): 20, pdq(2): None})


def limits(event: ContentChanged) -> dict[str, int | None]:
    return {one.value: one.max_distance for one in event.fingerprints}


async def test_an_unknown_entry(intake: Intake) -> None:
    olga, _ = await two(intake)
    for step in ("confirmation", "removal"):
        refused(await intake.post(f"{LIST}/{UUID(int=1)}/{step}", by=olga), 404)


async def test_an_older_version_s_entries_are_told_once_more(fresh_database: str, tmp_path: Path) -> None:
    """The notifier passed over what was told before it kept the list; its updated database hears of each confirmed entry."""
    before = [path for path in SCHEMA.folder.glob("*.sql") if path.name < "0008"]
    for path in before:
        (tmp_path / path.name).write_text(path.read_text())
    async with Database(fresh_database) as database:
        await migrate(database, [ACCESS, Schema(name=SCHEMA.name, folder=tmp_path)])
        async with database.transaction() as tx:
            for entry, confirmed in ((1, "now()"), (2, "NULL")):
                await tx.execute(
                    f"INSERT INTO intake.negative_list (entry_id, algorithm, value, reason, declared_by, declared_key, confirmed_at)"
                    f" VALUES ('{UUID(int=entry)}', 'md5', '\\x{entry:032x}', 'r', 'olga', gen_random_uuid(), {confirmed})".encode()
                )
        await migrate(database, [SCHEMA])
    async with running_intake(fresh_database) as updated:
        await updated.relay_idle()
        told = await updated.events(CONTENT.name)
        assert [one.entry_id for one in told if isinstance(one, NegativeEntry)] == [UUID(int=1)]
