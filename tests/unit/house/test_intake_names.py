"""Intake: one file a table, and one name a thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INTAKE = ROOT / "services" / "intake"
FUNCTION_LINES, FILE_LINES = 60, 400
_STATEMENT = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_TABLE = re.compile(r"\bintake\.([a-z_]+)")
_INNERMOST = re.compile(r"\([^()]*\)")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def statements(tree: ast.Module) -> Iterator[str]:
    """Its SQL; of an f-string what it is written with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "?" for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def table_of(statement: str) -> str:
    """The table that a statement changes, or reads from and joins others to; of a query around another, the inner one's."""
    found = ""
    while True:
        table = _TABLE.search(statement)
        found = table[1] if table is not None else found
        outer = _INNERMOST.sub(" ", statement)
        if outer == statement:
            return found
        statement = outer


def test_one_file_owns_the_sql_of_a_table() -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for path, tree in files(INTAKE):
        for text in statements(tree):
            if _STATEMENT.match(text) and (table := table_of(text)):
                owners[table].add(path)
    assert len(owners) >= 14
    assert {table: paths for table, paths in owners.items() if len(paths) > 1} == {}


def test_a_name_means_one_thing() -> None:
    """Of a class in all of services and shared; of a public function in its folder."""
    classes, functions = defaultdict(set), defaultdict(set)
    for folder in ("services", "shared"):
        for path, tree in files(ROOT / folder):
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    classes[node.name].add(path)
                elif isinstance(node, Function) and not node.name.startswith("_"):
                    functions[path.rpartition("/")[0], node.name].add(path)
    ours = [*classes.items(), *functions.items()]
    double = {name: paths for name, paths in ours if len(paths) > 1}
    assert {name: paths for name, paths in double.items() if any("services/intake" in path for path in paths)} == {}


def test_what_one_reads_at_once_is_short() -> None:
    long: list[str] = []
    for path, tree in files(INTAKE):
        if len((ROOT / path).read_text().splitlines()) > FILE_LINES:
            long.append(path)
        for node in ast.walk(tree):
            if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES:
                long.append(f"{path}:{node.name}")
    assert long == []
