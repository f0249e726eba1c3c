"""Each other route of intake x each role x whose it is: contents, variants, the negative list, sightings. With the table beside it, all."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from shared.access.keys import Role
from shared.service.app import create_app
from tests.integration.intake.cases import test_who_may
from tests.integration.intake.cases.test_cases import confirmed
from tests.integration.intake.cases.test_who_may import asked
from tests.integration.intake.harness import Intake, pdq

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELPLINE, OPERATIONS = frozenset({Role.HELPLINE}), frozenset({Role.OPERATIONS})
BOTH = HELPLINE | OPERATIONS
VARIANTS = {
    "fingerprints": [{"algorithm": "pdq", "value": pdq(9001), "quality": 100, "origin": "variant"}],
    "assurance": "viewed",
}

# method, path, body, who may, what helpline staff are answered of their own; another's is as what is not there
ROUTES: tuple[tuple[str, str, Any, frozenset[Role], int], ...] = (
    ("GET", "/v1/content", None, HELPLINE, 200),
    ("GET", "/v1/content/{content}", None, BOTH, 200),
    ("POST", "/v1/content/{content}/fingerprints", VARIANTS, HELPLINE, 201),
    ("POST", "/v1/content/{content}/fingerprints/{variant}/confirmation", {"assurance": "viewed"}, HELPLINE, 200),
    ("POST", "/v1/content/{content}/suspension", None, BOTH, 200),
    ("POST", "/v1/content/{content}/resumption", None, BOTH, 200),
)
OF_ALL: tuple[tuple[str, str, Any, frozenset[Role]], ...] = (
    ("POST", "/v1/negative-list", {}, OPERATIONS),
    ("GET", "/v1/negative-list", None, OPERATIONS),
    ("POST", "/v1/negative-list/{entry}/confirmation", None, OPERATIONS),
    ("POST", "/v1/negative-list/{entry}/removal", None, OPERATIONS),
    ("POST", "/v1/sightings", [], frozenset({Role.CRAWLER})),
)
"""Nothing of these is an organisation's."""


async def test_each_route_of_a_content_by_each_role(intake: Intake, case_ref: str, number: int) -> None:
    ann, bo = await intake.member("ann"), await intake.member("bo-who-may")
    claim = await confirmed(intake, case_ref, number)
    there = {"content": claim["content_id"], "variant": ""}
    variants = await intake.post(
        f"/v1/content/{there['content']}/fingerprints",
        {**VARIANTS, "fingerprints": [{"algorithm": "pdq", "value": pdq(9002 + number), "quality": 100, "origin": "variant"}]},
        by=ann,
    )  # fmt: skip
    there["variant"] = variants.json()["variant_id"]
    nowhere = {"content": str(uuid4()), "variant": str(uuid4())}
    real = there | {"content": str(await intake.real_content_id(there["content"]))}
    zoe, ops = (
        await intake.member("zoe", organisation="helpline-z"),
        await intake.member(f"{Role.OPERATIONS}-1", Role.OPERATIONS),
    )
    far_ops = await intake.member("far-ops", Role.OPERATIONS, "helpline-z")
    for method, path, body, may, own in ROUTES:
        for role in Role:
            if role in may:
                continue
            by = await intake.member(f"{role}-1", role)
            for ids in (there, real, nowhere):
                assert (await asked(intake, method, path.format(**ids), body, by))[0] == 403, (method, path, role)
        assert (await asked(intake, method, path.format(**there), body, None))[0] == 401
        if "{" in path:
            foreign = [await asked(intake, method, path.format(**ids), body, zoe) for ids in (there, real, nowhere)]
            assert {status for status, _ in foreign} == {404}, (method, path, foreign)
            assert foreign[0] == foreign[1] == foreign[2], (method, path, "a neighbour sees nothing")
            assert (await asked(intake, method, path.format(**real), body, ann))[0] == 404, "by their own id alone"
        status, said = await asked(intake, method, path.format(**there), body, bo)
        assert status == own, (method, path, said)
        if Role.OPERATIONS in may:  # by the id that takedowns carry, or their own organisation's
            assert (await asked(intake, method, path.format(**there), body, far_ops))[0] == 404
            assert (await asked(intake, method, path.format(**nowhere), body, ops))[0] == 404
            for ids, by in ((real, far_ops), (real, ops), (there, ops)):
                assert (await asked(intake, method, path.format(**ids), body, by))[0] in (200, 409), (
                    "found; resumed once"
                )


async def test_each_route_of_what_is_everybodys_by_each_role(intake: Intake) -> None:
    for method, path, body, may in OF_ALL:
        here = path.format(entry=uuid4())
        assert (await asked(intake, method, here, body, None))[0] == 401
        for role in Role:
            by = await intake.member(f"{role}-1", role)
            status, said = await asked(intake, method, here, body, by)
            assert (status == 403) == (role not in may), (method, path, role, said)


async def test_no_route_is_left_out(intake: Intake) -> None:
    described = create_app(intake.runtime, [intake.service]).openapi()["paths"]
    there = {(method.upper(), path.replace("_id}", "}")) for path, methods in described.items() for method in methods}
    tables = [(line[0], line[1]) for table in (test_who_may.ROUTES, ROUTES, OF_ALL) for line in table]
    ours = {(method, path.partition("?")[0]) for method, path in tables}
    assert {one for one in there if one[1].startswith("/v1")} == ours
