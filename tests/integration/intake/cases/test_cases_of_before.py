"""Cases from before there were rows of them: each with a live claim has one, is worked on, and ends like any other."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from services.intake.service import SCHEMA
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database
from tests.integration.intake.cases.test_cases import case_id_of, changed, read
from tests.integration.intake.harness import ACCESS, running_intake

# number, organisation, reference, state, declared by
CLAIMS = (
    (1, "helpline-a", "HL-0001", "confirmed", "ann"),
    (2, "helpline-a", "HL-0001", "awaiting_confirmation", "ben"),
    (3, "helpline-z", "HL-0001", "confirmed", "zoe"),
    (4, "helpline-a", None, "withdrawn", "ann"),
)


async def before(conninfo: str, folder: Path) -> None:
    for path in SCHEMA.folder.glob("*.sql"):
        if path.name < "0020":
            (folder / path.name).write_text(path.read_text())
    async with Database(conninfo) as database:
        await migrate(database, [ACCESS, Schema(name=SCHEMA.name, folder=folder)])
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO intake.content (content_id, revision) VALUES (%s, 1)", (UUID(int=9),))
            for number, organisation, case_ref, state, person in CLAIMS:
                await tx.execute(
                    "INSERT INTO intake.claims (claim_id, content_id, organisation_id, case_ref, state, declared_by, declared_key,"
                    " declared_assurance, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, 'viewed', now() + %s * interval '1 s')",
                    (UUID(int=number), UUID(int=9), organisation, case_ref, state, person, UUID(int=7), number),
                )


async def test_each_has_its_row(fresh_database: str, tmp_path: Path) -> None:
    await before(fresh_database, tmp_path)
    async with running_intake(fresh_database, workers=False) as intake:
        rows = await intake.rows("SELECT organisation_id, case_ref, owner FROM intake.cases ORDER BY organisation_id")
        assert [tuple(row.values()) for row in rows] == [
            ("helpline-a", "HL-0001", "ann"),
            ("helpline-z", "HL-0001", "zoe"),
        ]
        ann, ben = await intake.member("ann"), await intake.member("ben")
        case_id = await case_id_of(intake, ben, "HL-0001")
        case = await read(intake, ben, case_id)
        assert (case["state"], case["confirmed"], case["waiting"]) == ("open", 1, 1)
        await changed(intake, ben, case_id, notes="worked on since")
        for number in (1, 2):
            for by in (ann, ben):
                path = f"/v1/claims/{UUID(int=number)}/withdrawal"
                await intake.post(path, {"reason": "subject_request"}, by=by)
        assert (await intake.get(f"/v1/cases/{case_id}", by=ann)).status_code == 404
        assert (await intake.get("/v1/cases/ended", by=ann, case_ref="HL-0001")).status_code == 200
        assert len(await intake.rows("SELECT 1 FROM intake.cases")) == 1, "the neighbour's is its own"
