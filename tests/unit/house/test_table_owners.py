"""The SQL of a table stands in its owner's file, so that a newcomer finds all of it; what may read elsewhere is named here."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.unit.house.test_rooms import parsed, product_files

_CHANGES = r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+{schema}\.([a-z_]+)"
_NAMES = r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?{schema}\.([a-z_]+)"
OWNERS_ELSEWHERE = {
    "services/notifier/directory/store.py": {"directory", "hosts", "host_domains"},
    "services/notifier/delivery/outbound_switch.py": {"outbound", "holds"},
    "services/notifier/maintenance/retention.py": {"inbox"},
    "services/intake/maintenance/retention.py": {"inbox"},
}
"""Owners outside `store/`, with their tables. (`shared/outbox` has the SQL of `inbox` and `outbox` but for the end of the marks.)"""
READ_MODELS = {"services/notifier/api/queries.py", "services/notifier/maintenance/metrics.py"}
"""What people are shown, and what is counted: they read many tables at once, and change none."""


def named(service: str, pattern: str) -> Iterator[tuple[str, str]]:
    """(file, table) of each text of a service that the pattern finds a table of its schema in."""
    finds = re.compile(pattern.format(schema=service))
    for path in product_files():
        if path.startswith(f"services/{service}/"):
            for node in ast.walk(parsed(path)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    for table in finds.findall(node.value):
                        yield path, table


@pytest.mark.parametrize(("service", "tables"), [("intake", 14), ("notifier", 20)])
def test_one_file_changes_a_table(service: str, tables: int) -> None:
    files: dict[str, set[str]] = defaultdict(set)
    for path, table in named(service, _CHANGES):
        files[table].add(path)
    assert len(files) >= tables
    assert {table: sorted(paths) for table, paths in files.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("service", ["intake", "notifier"])
def test_sql_stands_with_the_owners_of_tables_and_in_read_models(service: str) -> None:
    outside = {
        (path, table)
        for path, table in named(service, _NAMES)
        if not path.startswith(f"services/{service}/store/")
        and path not in READ_MODELS
        and path not in OWNERS_ELSEWHERE
    }
    assert outside == set()


def test_owners_outside_the_store_change_their_own_tables_alone() -> None:
    changed: dict[str, set[str]] = defaultdict(set)
    for service in ("intake", "notifier"):
        for path, table in named(service, _CHANGES):
            if path in OWNERS_ELSEWHERE or path in READ_MODELS:
                changed[path].add(table)
    assert changed == OWNERS_ELSEWHERE
