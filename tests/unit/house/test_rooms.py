"""The house keeps its order: rooms of a size one can look over, names that mean one thing, and a picture that is true."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES_A_FOLDER = 16
LINES_A_FILE = 400
LINES_A_FUNCTION = 60
BROAD_EXCEPTS_A_THOUSAND_LINES = 0.5
COLUMN = 22
ROOMS = {
    "services/intake": "intake: rooms in layers",
    "services/matcher": "matcher: rooms in layers",
    "services/notifier": "notifier: rooms in layers",
    "services/console": "console: rooms in layers",
}


@cache
def python_files() -> tuple[str, ...]:
    """Every Python file under version control, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return tuple(path for path in listed if (ROOT / path).is_file())


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def product_files() -> list[str]:
    return [path for path in python_files() if path.startswith(("services/", "shared/"))]


def test_no_folder_holds_more_files_than_one_looks_over() -> None:
    folders: dict[str, int] = defaultdict(int)
    for path in python_files():
        if not path.endswith("__init__.py"):
            folders[path.rpartition("/")[0]] += 1
    assert {folder: count for folder, count in folders.items() if count > FILES_A_FOLDER} == {}


def test_no_file_is_longer_than_a_reader_holds_in_mind() -> None:
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in python_files()}
    assert {path: lines for path, lines in lengths.items() if lines > LINES_A_FILE} == {}


def test_every_function_fits_a_screen() -> None:
    long = {
        f"{path}:{node.lineno} {node.name}": lines
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > LINES_A_FUNCTION
    }
    assert long == {}


def test_a_class_name_means_one_thing() -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for path in product_files():
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                where[node.name].add(path)
    assert {name: sorted(paths) for name, paths in where.items() if len(paths) > 1} == {}


def test_in_a_room_a_public_function_name_means_one_thing() -> None:
    where: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in product_files():
        room = path.rpartition("/")[0]
        for node in parsed(path).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                where[room, node.name].add(path)
    each_has_one = {"add_to"}  # a file of commands adds them to the command line by this name
    alike = {key: sorted(paths) for key, paths in where.items() if len(paths) > 1 and key[1] not in each_has_one}
    assert alike == {}


def test_what_catches_everything_is_rare() -> None:
    lines = sum(len((ROOT / path).read_text().splitlines()) for path in product_files())
    found = [f"{path}:{handler.lineno}" for path in product_files() for handler in _swallowing(parsed(path))]
    assert len(found) <= lines / 1000 * BROAD_EXCEPTS_A_THOUSAND_LINES, found


def _swallowing(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    """Broad handlers that do not end in a bare `raise`: those clean up and hand the error on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield node


def _is_broad(kind: ast.expr | None) -> bool:
    return kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})


def contracts() -> dict[str, list[list[str]]]:
    """The layers of each contract, from the highest down; the rooms on one line are separated by `|`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {
        one["name"]: [[room.strip() for room in layer.split("|")] for layer in one["layers"]]
        for one in settings
        if one["type"] == "layers"
    }


def picture() -> str:
    """The rooms as the import contracts have them: an arrow is a permission to import."""
    layers = contracts()
    lines = ["services/standalone"]
    lines += ["    " + "  ──▶  ".join(_short(layer) for layer in layers["standalone: rooms in layers"])]
    lines += ["".join("         │".ljust(COLUMN) for _ in ROOMS).rstrip()]
    lines += ["".join("         ▼".ljust(COLUMN) for _ in ROOMS).rstrip()]
    lines += ["".join(name.ljust(COLUMN) for name in ROOMS).rstrip()]
    columns = [_column(layers[contract]) for contract in ROOMS.values()]
    height = max(len(column) for column in columns)
    for row in range(height):
        cells = [column[row] if row < len(column) else "         │" for column in columns]
        lines.append("".join(cell.ljust(COLUMN) for cell in cells).rstrip())
    lines += ["".join("         ▼".ljust(COLUMN) for _ in ROOMS).rstrip()]
    lines += ["shared", "    " + "  ──▶  ".join(_short(layer) for layer in layers["shared: rooms in layers"])]
    return "\n".join(lines)


def _short(layer: list[str]) -> str:
    return ", ".join(room.rpartition(".")[2] for room in layer)


def _column(layers: list[list[str]]) -> list[str]:
    cells: list[str] = []
    for number, layer in enumerate(layers):
        if number:
            cells.append("         ▼")
        cells.append("    " + _short(layer))
    return cells


def test_the_picture_of_the_rooms_is_what_the_import_contracts_say() -> None:
    drawn = picture()
    assert drawn in (ROOT / "docs" / "architecture.md").read_text(), "docs/architecture.md should show:\n" + drawn


def test_the_architecture_has_a_paragraph_for_each_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    layers = [layer for name, found in contracts().items() if "rooms in layers" in name for layer in found]
    rooms = {room for layer in layers for room in layer}
    folders = [room.replace(".", "/") for room in sorted(rooms) if (ROOT / room.replace(".", "/")).is_dir()]
    missing = [folder for folder in folders if f"**`{folder}/`**" not in text]
    assert missing == []


@pytest.mark.parametrize("service", sorted(ROOMS))
def test_the_contracts_name_every_room(service: str) -> None:
    """A folder that no contract names is kept by no contract."""
    named = {room.replace(".", "/") for layer in contracts()[ROOMS[service]] for room in layer}
    folders = {str(path.parent.relative_to(ROOT)) for path in (ROOT / service).glob("*/__init__.py")}
    assert folders <= named
