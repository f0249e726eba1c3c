"""What is due, or has had its time, is found by an index, however many rows are not."""

from __future__ import annotations

from datetime import timedelta

from services.intake.maintenance import retention
from services.intake.store import claims, content, erasures, idempotency, reports, variants
from services.intake.store.cases import cases, ended_cases
from services.intake.store.reports import REPORTS
from shared.db.due_rows import Room
from tests.integration.intake.harness import Intake, running_intake
from tests.plans import assert_index_is_asked, plan_of

ROWS = 50_000
KEPT = timedelta(days=14)
LEASE = timedelta(minutes=3)

# The first sixty are due, or a year old; the others are due, or were made, in the course of the hours around now.
_NUMBERED = """
CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
SELECT gen_random_uuid() AS id, number,
    now() + CASE WHEN number <= 60 THEN interval '-1 s' ELSE number * interval '1 s' END AS due_at,
    now() - CASE WHEN number <= 60 THEN interval '400 d' ELSE number * interval '1 s' END AS made_at
FROM generate_series(1, %s) AS number
"""
_FILL = (
    "INSERT INTO intake.content (content_id, state, withdrawn_at) SELECT id, 'withdrawn', made_at FROM numbered",
    """
    INSERT INTO intake.claims (claim_id, content_id, organisation_id, state, declared_by, declared_key, declared_assurance,
        withdrawal_due, withdrawn_at, created_at)
    SELECT gen_random_uuid(), id, 'helpline', state, 'ann', id, 'viewed', due_at, made_at, made_at
    FROM numbered, unnest('{awaiting_confirmation,withdrawing,withdrawn}'::text[]) AS state
    """,
    """
    INSERT INTO intake.reports (report_id, organisation_id, person_id, url, url_key, key_version, asserted, fetch_when, state,
        due_at, created_at)
    SELECT gen_random_uuid(), 'helpline', 'ann', 'https://a.test/', 'https://a.test/', 1, false, 'now', state, due_at, made_at
    FROM numbered, unnest('{queued,no_match}'::text[]) AS state
    """,
    "INSERT INTO intake.idempotency (key_digest, body_digest, created_at) SELECT uuid_send(id), '', made_at FROM numbered",
    "INSERT INTO intake.inbox (group_name, event_id, handled_at) SELECT 'g', id::text, made_at FROM numbered",
    """
    INSERT INTO intake.variants (variant_id, claim_id, added_by, added_key, added_assurance, created_at)
    SELECT id, (SELECT claim_id FROM intake.claims LIMIT 1), 'ann', id, 'viewed', made_at FROM numbered
    """,
    """
    INSERT INTO intake.cases (case_id, organisation_id, owner, changed_at, opened_at)
    SELECT gen_random_uuid(), 'helpline', 'ann', made_at, opened_at FROM numbered, unnest(ARRAY[NULL, now()]) AS opened_at
    """,
    "INSERT INTO intake.ended_cases (digest, reason, ended_at) SELECT uuid_send(id), 'unconfirmed', made_at FROM numbered",
    """
    INSERT INTO intake.erasures (content_id, url_key, key_version, created_at, told_at)
    SELECT id, 'https://a.test/' || number, 1, made_at, CASE WHEN number <= 20 THEN NULL ELSE made_at END FROM numbered
    """,
)


async def fill(intake: Intake) -> None:
    async with intake.database.transaction() as tx:
        await tx.execute(_NUMBERED, (ROWS,))
        for statement in _FILL:
            await tx.execute(statement.encode())
    async with intake.database.transaction() as tx:
        await tx.execute(
            "ANALYZE intake.content, intake.claims, intake.reports, intake.idempotency, intake.inbox, intake.variants, intake.erasures,"
            " intake.cases, intake.ended_cases"
        )


async def test_what_is_due_is_found_by_an_index(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:
        await fill(intake)
        room = Room(free=4, per_place=4, busy={})
        claim = REPORTS.claim_values(room, owner="0", lease=LEASE)
        told = {"published_for": KEPT, "limit": 200}
        for statement, values, table, column in (
            (REPORTS.claim_statement, claim, "reports", "due_at"),
            (REPORTS.next_statement, (), "reports", "due_at"),
            (claims._DUE.encode(), (100,), "claims", "withdrawal_due"),
            (claims._UNCONFIRMED.encode(), (KEPT, 100), "claims", "created_at"),
            (claims._WITHDRAWN_BEFORE.encode(), (KEPT, 100), "claims", "withdrawn_at"),
            (content._WITHDRAWN_BEFORE.encode(), (KEPT, 100), "content", "withdrawn_at"),
            (variants._DELETE_UNCONFIRMED.encode(), (KEPT,), "variants", "created_at"),
            (idempotency._DELETE_OLD.encode(), (KEPT,), "idempotency", "created_at"),
            (reports._DELETE_OLD.encode(), (KEPT,), "reports", "created_at"),
            (cases._DRAFTS_BEFORE.encode(), (KEPT, 100), "cases", "changed_at"),
            (ended_cases._DELETE_OLD.encode(), (KEPT,), "ended_cases", "ended_at"),
            (retention._OLD_MARKS.encode(), (KEPT,), "inbox", "handled_at"),
            (erasures._ORDERED.encode(), (200,), "erasures", ""),
            (erasures._OVER.encode(), told, "erasures", "told_at"),
        ):
            assert_index_is_asked(await plan_of(intake.database, statement, values), table, column)
