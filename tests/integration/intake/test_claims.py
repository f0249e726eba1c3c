"""Claims over HTTP, and what of them reaches the log."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.intake.service import SCHEMA
from shared.contracts.claims import ClaimChanged
from shared.contracts.content import Assurance, ContentState
from shared.contracts.topics import CLAIMS, CONTENT
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database
from tests.integration.intake.harness import ACCESS, Intake, Member, claim_body, md5, pdq, running_intake


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


async def test_a_confirmed_claim_puts_its_content_into_the_register(intake: Intake) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    declared = await intake.declare(by=ann)
    assert declared.keys() == {"claim_id", "content_id", "state"}
    assert declared["state"] == "awaiting_confirmation"
    confirmed = await intake.post(f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": "unseen"}, by=ben)
    assert confirmed.status_code == 200
    assert confirmed.json()["state"] == "confirmed"

    event = await intake.content_when(lambda content: content.state is ContentState.ACTIVE)
    assert event.revision == 1
    assert event.content_id == await intake.real_content_id(declared["content_id"])
    assert str(event.content_id) != declared["content_id"]
    assert event.assurance is Assurance.UNSEEN  # the weaker of the two steps
    assert [(one.algorithm, one.value, one.assurance) for one in event.fingerprints] == [
        ("pdq", pdq(1), Assurance.UNSEEN)
    ]
    await intake.relay_idle()
    (claim,) = await intake.events(CLAIMS.name)
    assert str(claim.claim_id) == declared["claim_id"]  # type: ignore[attr-defined]  # a ClaimChanged
    for record in [*await intake.records(CLAIMS.name), *await intake.records(CONTENT.name)]:
        assert b"HL-2026" not in (record.value or b"")


async def test_the_claimant_cannot_confirm_and_unconfirmed_content_is_not_published(intake: Intake) -> None:
    ann = await intake.member("ann")
    declared = await intake.declare(by=ann)
    response = await intake.post(f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": "viewed"}, by=ann)
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert (await intake.get(f"/v1/claims/{declared['claim_id']}", by=ann)).json()["state"] == "awaiting_confirmation"
    await intake.relay_idle()
    assert await intake.records(CONTENT.name) == []
    assert await intake.records(CLAIMS.name) == []


async def test_another_key_of_the_same_person_is_the_same_person(intake: Intake) -> None:
    ann = await intake.member("ann")
    declared = await intake.declare(by=ann)
    intake.members.clear()
    again = await intake.member("ann")
    assert again.key_id != ann.key_id
    response = await intake.post(f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": "viewed"}, by=again)
    assert response.status_code == 403


async def test_what_may_depict_a_minor_is_refused_with_where_to_go_and_nothing_is_kept(
    intake: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = await intake.member("ann")
    for answer in ("yes", "unknown", True, None):
        await refused_for_a_minor(intake, ann, answer)
    said = capsys.readouterr()
    assert "HL-99887766" not in said.out + said.err
    assert pdq(1) not in said.out + said.err


async def refused_for_a_minor(intake: Intake, ann: Member, answer: object) -> None:
    # Another bad field does not hide where to go.
    body = claim_body(declaration={"depicts_minor": answer}, case_ref="HL-99887766", assurance="nonsense")
    response = await intake.post("/v1/claims", body, by=ann, key="minor-1")
    assert response.status_code == 422
    problem = response.json()
    assert problem["errors"][0]["pointer"] == "#/declaration/depicts_minor"
    places = " ".join(f"{place['name']} {place['url']}" for place in problem["where_to_go"])
    for name in ("report.iwf.org.uk", "report.cybertip.org", "police"):
        assert name in places
    for table in ("claims", "content", "fingerprints", "content_alias", "idempotency", "outbox"):
        assert await intake.rows(f"SELECT 1 FROM intake.{table}") == []
    assert await intake.rows("SELECT 1 FROM access.audit") == []


@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
async def test_a_claim_nested_without_end_is_refused(intake: Intake, media_type: str) -> None:
    ann = await intake.member("ann")
    headers = {**ann.headers, "Idempotency-Key": "nested", "Content-Type": media_type}
    response = await intake.client.post("/v1/claims", content=b'{"a":' * 20_000, headers=headers)
    assert response.status_code in (400, 422)
    too_large = await intake.client.post("/v1/claims", content=b'{"a":' * 100_000, headers=headers)
    assert too_large.status_code == 413


BAD_CLAIMS: list[tuple[str, dict[str, Any]]] = [
    ("#/fingerprints/0", {"fingerprints": [{"algorithm": "pdq", "value": "00" * 32}]}),
    ("#/fingerprints/0", {"fingerprints": [{"algorithm": "pdq", "value": "ff" * 32}]}),
    ("#/fingerprints/0", {"fingerprints": [{"algorithm": "pdq", "value": f"{(1 << 31) - 1:064x}"}]}),
    (
        "#/fingerprints/1",
        {"fingerprints": [{"algorithm": "md5", "value": md5(1)}, {"algorithm": "md5", "value": "0g" * 16}]},
    ),
    ("#/fingerprints/0", {"fingerprints": [{"algorithm": "pdq", "value": pdq(1), "quality": 49}]}),
    ("#/fingerprints/0", {"fingerprints": [{"algorithm": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"}]}),
    ("#/fingerprints/0/algorithm", {"fingerprints": [{"algorithm": "crc32", "value": "00000000"}]}),
    ("#/fingerprints", {"fingerprints": []}),
    ("#/fingerprints", {"fingerprints": [{"algorithm": "md5", "value": md5(n)} for n in range(101)]}),
    ("#/case_ref", {"case_ref": "hl-20260001"}),
    ("#/case_ref", {"case_ref": "HL-20260001\n"}),
    ("#/case_ref", {"case_ref": "HL-2026 Jane Doe"}),
    ("#/declaration/intimate", {"declaration": {"intimate": False}}),
    ("#/declaration/non_consensual", {"declaration": {"non_consensual": False}}),
    ("#/declaration/true_and_good_faith", {"declaration": {"true_and_good_faith": False}}),
    *(
        ("#/declaration/authority_recorded", {"declaration": {"declared_as": who, "authority_recorded": False}})
        for who in ("subject", "authorised_representative", "legal_guardian")
    ),
    ("#/declaration/authority_recorded", {"declaration": {"authority_recorded": None}}),
    ("#/declaration/declared_as", {"declaration": {"declared_as": "friend"}}),
    ("#/declaration/declared_at", {"declaration": {"declared_at": "2026-01-01T00:00:00"}}),
    ("#/declaration/declared_at", {"declaration": {"declared_at": "2126-01-01T00:00:00Z"}}),
    ("#/declaration/declared_at", {"declaration": {"declared_at": "0001-01-01T00:00:00+14:00"}}),
    ("#/demands_not_before", {"demands_not_before": "0001-01-01T00:00:00+14:00"}),
    ("#/assurance", {"assurance": "certain"}),
    ("#/subject_jurisdictions/0", {"subject_jurisdictions": ["UK"]}),
    ("#/do_not_contact/0", {"do_not_contact": ["https://host.example/"]}),
    ("#/do_not_contact/0", {"do_not_contact": ["192.0.2.1"]}),
    ("#/demands_not_before", {"demands_not_before": "2126-01-01T00:00:00Z"}),
    ("#/surname", {"surname": "Doe"}),
]


async def test_a_bad_claim_is_refused_with_a_pointer_to_the_field(intake: Intake) -> None:
    ann = await intake.member("ann")
    for pointer, changes in BAD_CLAIMS:
        problem = await intake.declare(by=ann, expect=422, **copy.deepcopy(changes))
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        values = [one["value"] for one in changes.get("fingerprints", []) if len(one["value"]) > 8]
        assert not any(value in str(problem) for value in values)
    assert await intake.rows("SELECT 1 FROM intake.claims") == []
    assert await intake.rows("SELECT 1 FROM intake.idempotency") == []


async def test_a_claim_needs_an_idempotency_key_and_one_key_is_one_claim(intake: Intake) -> None:
    ann, zoe = await intake.member("ann"), await intake.member("zoe", organisation="helpline-z")
    body = claim_body()
    assert (await intake.post("/v1/claims", body, by=ann)).status_code == 422
    answers = await asyncio.gather(*(intake.post("/v1/claims", body, by=ann, key="k") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len(await intake.rows("SELECT 1 FROM intake.claims")) == 1
    other = await intake.post("/v1/claims", claim_body(case_ref="HL-20260002"), by=ann, key="k")
    assert other.status_code == 422
    # A key is an organisation's own.
    assert (await intake.post("/v1/claims", body, by=zoe, key="k")).status_code == 201
    (stored, *_) = await intake.rows("SELECT key_digest, body_digest, answer::text AS answer FROM intake.idempotency")
    assert stored["key_digest"] != b"k"
    assert "HL-2026" not in stored["answer"]


async def test_a_refused_claim_leaves_its_key_free(intake: Intake) -> None:
    ann = await intake.member("ann")
    assert (await intake.post("/v1/claims", claim_body(case_ref="x"), by=ann, key="k")).status_code == 422
    assert (await intake.post("/v1/claims", claim_body(), by=ann, key="k")).status_code == 201


async def test_known_fingerprints_join_the_content_and_nobody_is_told(intake: Intake) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    zoe = await intake.member("zoe", organisation="helpline-z")
    yan = await intake.member("yan", organisation="helpline-z")
    first = await intake.confirmed(by=ann, confirmer=ben, assurance="unseen")
    second = await intake.declare(
        by=zoe,
        case_ref="ZZ-20260001",
        fingerprints=[
            {"algorithm": "pdq", "value": pdq(1).upper(), "quality": 90},
            {"algorithm": "md5", "value": md5(1)},
        ],
    )
    assert second["state"] == "awaiting_confirmation"
    assert second["content_id"] != first["content_id"]
    assert await intake.real_content_id(second["content_id"]) == await intake.real_content_id(first["content_id"])

    # Seen from the second organisation, nothing of the first shows: not its state, its claims or its fingerprints.
    seen = (await intake.get(f"/v1/content/{second['content_id']}", by=zoe)).json()
    assert seen["state"] == "awaiting_confirmation"
    assert [claim["claim_id"] for claim in seen["claims"]] == [second["claim_id"]]
    assert seen["fingerprint_count"] == 2
    for path in (f"/v1/content/{first['content_id']}", f"/v1/claims/{first['claim_id']}"):
        assert (await intake.get(path, by=zoe)).status_code == 404
    await intake.relay_idle()
    assert len((await intake.contents())[-1].fingerprints) == 1

    confirmed = await intake.post(f"/v1/claims/{second['claim_id']}/confirmation", {"assurance": "viewed"}, by=yan)
    assert confirmed.status_code == 200
    event = await intake.content_when(lambda content: content.revision == 2)
    assert {(one.algorithm, one.assurance) for one in event.fingerprints} == {
        ("pdq", Assurance.VIEWED),  # the strongest of its claims
        ("md5", Assurance.VIEWED),
    }


async def test_claims_on_the_same_new_fingerprint_at_the_same_time_make_one_content(intake: Intake) -> None:
    ann = await intake.member("ann")
    declared = await asyncio.gather(*(intake.declare(by=ann, case_ref=f"HL-2026000{n}") for n in range(6)))
    assert len({one["claim_id"] for one in declared}) == 6
    assert len({one["content_id"] for one in declared}) == 1
    assert len(await intake.rows("SELECT 1 FROM intake.content")) == 1


async def test_a_claim_that_touches_several_contents_joins_the_oldest(intake: Intake) -> None:
    ann = await intake.member("ann")
    older = await intake.declare(by=ann, fingerprints=[{"algorithm": "md5", "value": md5(1)}])
    newer = await intake.declare(by=ann, fingerprints=[{"algorithm": "md5", "value": md5(2)}])
    assert older["content_id"] != newer["content_id"]
    both = [{"algorithm": "md5", "value": md5(n)} for n in (2, 1)]
    assert (await intake.declare(by=ann, fingerprints=both))["content_id"] == older["content_id"]


async def test_reading_a_case_is_audited_and_shows_no_fingerprint(intake: Intake) -> None:
    ann = await intake.member("ann")
    declared = await intake.declare(by=ann)
    claim_id = declared["claim_id"]
    one = await intake.get(f"/v1/claims/{claim_id}", by=ann)
    assert one.json()["case_ref"] == "HL-20260001"
    shown = {"algorithm": "pdq", "quality": 100, "origin": "original", "max_distance": None}
    assert one.json()["fingerprints"] == [shown]
    found = await intake.get("/v1/claims", by=ann, case_ref="HL-20260001")
    assert [claim["claim_id"] for claim in found.json()["items"]] == [claim_id]
    everything = await intake.get("/v1/claims", by=ann)
    assert "HL-20260001" not in everything.text
    content = await intake.get(f"/v1/content/{declared['content_id']}", by=ann)
    contents = await intake.get("/v1/content", by=ann)
    for response in (one, found, everything, content, contents):
        assert pdq(1) not in response.text
    audited = await intake.rows("SELECT person_id, action, object_id FROM access.audit ORDER BY audit_id")
    assert [(row["person_id"], row["action"]) for row in audited] == [
        ("ann", "claim.declared"),
        ("ann", "case.read"),
        ("ann", "case.read"),
        ("ann", "content.read"),
    ]
    assert {row["object_id"] for row in audited[:3]} == {claim_id}


async def test_an_answer_that_shows_a_case_again_is_a_reading_of_it(intake: Intake) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim_id = (await intake.declare(by=ann))["claim_id"]
    for step, body in (("confirmation", {"assurance": "viewed"}), ("withdrawal", {"reason": "subject_request"})):
        path = f"/v1/claims/{claim_id}/{step}"
        answers = [await intake.post(path, body, by=ben, key=f"of {step}") for _ in range(3)]
        assert {one.json()["case_ref"] for one in answers} == {"HL-20260001"}
    path = f"/v1/claims/{claim_id}/withdrawal/undo"
    for _ in range(2):
        await intake.post(path, by=ben, key="of undo")
    audited = await intake.rows("SELECT person_id, action, object_id FROM access.audit ORDER BY audit_id")
    assert [(row["person_id"], row["action"]) for row in audited] == [
        ("ann", "claim.declared"),
        ("ben", "claim.confirmed"),
        *2 * [("ben", "case.read")],
        ("ben", "claim.withdrawing"),
        *2 * [("ben", "case.read")],
        ("ben", "claim.withdrawal_undone"),
        ("ben", "case.read"),
    ]
    assert {row["object_id"] for row in audited} == {claim_id}


async def test_lists_go_page_by_page_through_ones_own(intake: Intake) -> None:
    ann, zoe = await intake.member("ann"), await intake.member("zoe", organisation="helpline-z")
    await intake.declare(by=zoe)
    made = [await intake.declare(by=ann, fingerprints=[{"algorithm": "md5", "value": md5(n)}]) for n in range(5)]
    for path, identifier in (("/v1/claims", "claim_id"), ("/v1/content", "content_id")):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(3):
            page = (await intake.get(path, by=ann, limit="2", **cursor)).json()
            seen += [item[identifier] for item in page["items"]]
            cursor = {"cursor": page["next"]} if page["next"] else {}
        assert seen == [one[identifier] for one in reversed(made)]
        assert cursor == {}
    assert (await intake.get("/v1/claims", by=ann, cursor="bm9uc2Vuc2U=")).status_code == 422


@pytest.mark.parametrize("missing", ["declared_as", "authority_recorded"])
async def test_a_claim_says_in_which_capacity_and_that_the_authority_is_on_record(intake: Intake, missing: str) -> None:
    body = claim_body()
    del body["declaration"][missing]
    response = await intake.post("/v1/claims", body, by=await intake.member("ann"), key=uuid4().hex)
    assert response.status_code == 422
    assert [one["pointer"] for one in response.json()["errors"]] == [f"#/declaration/{missing}"]


@pytest.mark.parametrize("declared_as", ["subject", "authorised_representative", "legal_guardian"])
async def test_what_a_demand_may_say_of_the_claimant_travels_with_the_claim(intake: Intake, declared_as: str) -> None:
    ann, bob = await intake.member("ann"), await intake.member("bob")
    claim = await intake.confirmed(
        by=ann,
        confirmer=bob,
        declaration={"declared_as": declared_as},
        evidence_wanted=True,
        fingerprints=[{"algorithm": "md5", "value": md5(hash(declared_as) % 1000)}],
    )
    await intake.relay_idle()
    events = [one for one in await intake.events(CLAIMS.name) if isinstance(one, ClaimChanged)]
    (told,) = [one for one in events if str(one.claim_id) == claim["claim_id"]]
    assert (told.declared_as, told.authority_recorded, told.evidence_wanted) == (declared_as, True, True)


async def test_an_older_version_s_claims_are_told_once_more(fresh_database: str, tmp_path: Path) -> None:
    """The notifier learns of each live claim that was told before in which capacity it was declared."""
    for path in SCHEMA.folder.glob("*.sql"):
        if path.name < "0010":
            (tmp_path / path.name).write_text(path.read_text())
    declaration = '{"declared_as": "legal_guardian", "authority_recorded": true}'
    claims = ((1, 1, "confirmed", declaration), (2, 0, "awaiting_confirmation", declaration), (3, 2, "withdrawn", None))
    async with Database(fresh_database) as database:
        await migrate(database, [ACCESS, Schema(name=SCHEMA.name, folder=tmp_path)])
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO intake.content (content_id, revision) VALUES (%s, 1)", (UUID(int=9),))
            for number, revision, state, said in claims:
                await tx.execute(
                    "INSERT INTO intake.claims (claim_id, content_id, organisation_id, revision, state, declaration,"
                    " declared_by, declared_key, declared_assurance) VALUES (%s, %s, 'o', %s, %s, %s, 'p', %s, 'viewed')",
                    (UUID(int=number), UUID(int=9), revision, state, said, UUID(int=7)),
                )
        await migrate(database, [SCHEMA])
    async with running_intake(fresh_database) as updated:
        await updated.relay_idle()
        told = [one for one in await updated.events(CLAIMS.name) if isinstance(one, ClaimChanged)]
        assert [(one.claim_id, one.revision, one.declared_as, one.authority_recorded) for one in told] == [
            (UUID(int=1), 2, "legal_guardian", True)
        ]
