"""Notifier: what changes a table stands in one file, so that a newcomer finds all of it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NOTIFIER = ROOT / "services" / "notifier"
_CHANGES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+notifier\.([a-z_]+)")


def test_one_file_changes_a_table() -> None:
    files: dict[str, set[str]] = defaultdict(set)
    for path in NOTIFIER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for table in _CHANGES.findall(node.value):
                    files[table].add(str(path.relative_to(ROOT)))
    assert len(files) >= 20
    assert {table: sorted(paths) for table, paths in files.items() if len(paths) > 1} == {}
