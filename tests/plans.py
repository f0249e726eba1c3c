"""How PostgreSQL carries out a statement, on many rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg import AsyncClientCursor

from shared.db.pool import Database

Node = dict[str, Any]


async def plan_of(
    database: Database, statement: bytes, values: Sequence[object] | Mapping[str, object] = ()
) -> list[Node]:
    """The steps of a statement as it was carried out, with what each met; nothing of it stays."""
    async with database.transaction() as tx, tx.transaction(force_rollback=True):
        cursor = AsyncClientCursor(tx)
        await cursor.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
        row: Any = await cursor.fetchone()
        (plan,) = row.values() if isinstance(row, dict) else row
        (whole,) = json.loads(plan) if isinstance(plan, str) else plan
        return list(_steps(whole["Plan"]))


def _steps(node: Node) -> Iterator[Node]:
    yield node
    for below in node.get("Plans", ()):
        yield from _steps(below)


def assert_index_is_asked(plan: Sequence[Node], table: str, column: str) -> None:
    """The rows of `table` are found by an index that is asked for `column`, nowhere all of them are gone through, and no step throws
    away more rows than it keeps (and a few)."""
    shown = json.dumps(plan, indent=1)
    steps = [node for node in plan if node.get("Relation Name") == table or node["Node Type"] == "Bitmap Index Scan"]
    assert not [node for node in steps if node["Node Type"] == "Seq Scan"], shown
    assert [node for node in steps if column in node.get("Index Cond", "")], shown
    for node in plan:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        assert removed <= node["Actual Rows"] + 100, shown
