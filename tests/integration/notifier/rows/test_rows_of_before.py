"""Rows that an earlier version wrote: the migrations bring their tables along, and what they hold is read as it was meant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from psycopg.types.json import Jsonb

from services.notifier.store import takedowns
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database
from tests.notifier_world import ACCESS

ROWS = [
    json.loads(line) for line in (Path(__file__).parents[3] / "data" / "takedowns_v1.jsonl").read_text().splitlines()
]
"""What `takedowns.data` held before it had a version: every state, and every state of a demand, from the model's histories."""
LAST_BEFORE = "0007"
NAMESPACE = UUID("6f1d7c1e-0000-4000-8000-0000000000aa")

_TAKEDOWN = """
INSERT INTO notifier.takedowns (takedown_id, content_id, target_kind, state, round, sequence, host, url, url_key, key_version,
    page_url, distance, fingerprint_ref, data, created_at, changed_at)
VALUES (%(takedown_id)s, %(content_id)s, %(target_kind)s, %(state)s, %(round)s, %(sequence)s, 'h', 'u', 'k', 1, NULL, NULL, NULL,
    %(data)s, %(created_at)s, %(changed_at)s)
"""
_DEMAND = """
INSERT INTO notifier.demands (demand_id, takedown_id, token_hash, recipient, rung, round, state, regime, issued_at)
VALUES (%(demand_id)s, %(takedown_id)s, %(token_hash)s, %(recipient)s, %(rung)s, %(round)s, %(state)s, %(regime)s, %(issued_at)s)
"""
_MESSAGE = """
INSERT INTO notifier.messages (message_id, takedown_id, demand_id, recipient, kind, number, state, due_at)
VALUES (%(message_id)s, %(takedown_id)s, %(demand_id)s, %(recipient)s, 'demand.issued', 0, 'accepted', now())
"""


async def _as_before(database: Database, folder: Path) -> None:
    """A database as the earlier version left it."""
    for path in takedowns.SCHEMA.folder.glob("*.sql"):
        if path.name[:4] <= LAST_BEFORE:
            shutil.copy(path, folder / path.name)
    await migrate(database, [Schema(name=takedowns.SCHEMA.name, folder=folder), ACCESS])
    async with database.transaction() as tx:
        for row in ROWS:
            await tx.execute(_TAKEDOWN, {**row, "data": Jsonb(row)})
            for demand in row["demands"]:
                mine = {**demand, "takedown_id": row["takedown_id"], "token_hash": demand["demand_id"].encode()}
                await tx.execute(_DEMAND, mine)
                await tx.execute(_MESSAGE, {**mine, "message_id": uuid5(NAMESPACE, demand["demand_id"])})


@pytest.fixture
async def migrated(fresh_database: str, tmp_path: Path) -> Any:
    async with Database(fresh_database) as database:
        await _as_before(database, tmp_path)
        await migrate(database, [takedowns.SCHEMA])
        yield database


async def test_columns_are_filled_from_what_the_rows_held(migrated: Database) -> None:
    async with migrated.transaction() as tx:
        found = await (await tx.execute("SELECT * FROM notifier.takedowns")).fetchall()
    assert len(found) == len(ROWS)
    by_id = {str(row["takedown_id"]): row for row in found}
    for row in ROWS:
        now = by_id[row["takedown_id"]]
        assert (now["match_basis"], now["last_outcome"]) == (row["match"]["basis"], row["last_outcome"])
        assert (now["held_for"], now["holds_released"]) == (row["held_for"], row["cleared"])
        assert now["wants_demand"] is row["wants_demand"]
        assert now["removed_for"] == row["removed_for"]
        assert (now["removed_at"] is None) == (row["removed_at"] is None)


async def test_every_message_has_its_demand_as_its_one_item(migrated: Database) -> None:
    async with migrated.transaction() as tx:
        cursor = await tx.execute(
            "SELECT m.message_id, m.demand_id, array_agg(i.demand_id) AS items FROM notifier.messages m"
            " LEFT JOIN notifier.message_items i USING (message_id) GROUP BY m.message_id"
        )
        found = await cursor.fetchall()
    assert len(found) == sum(len(row["demands"]) for row in ROWS)
    assert all(row["items"] == [row["demand_id"]] for row in found)


async def test_a_row_of_before_is_loaded(migrated: Database) -> None:
    async with migrated.transaction() as tx:
        for row in ROWS:
            takedown = await takedowns.load(tx, UUID(row["takedown_id"]))
            assert takedown is not None
            assert (takedown.state, takedown.sequence) == (row["state"], row["sequence"])
