"""Docstrings are there, and the files that they name are where they say."""

from __future__ import annotations

import ast
import re

from tests.unit.house.test_rooms import ROOT, parsed, product_files

_FILE = re.compile(r"`+([\w./-]+\.(?:py|md|sql|toml))`+")
OF_OTHERS = {"_core/actions/execution.py", "NNNN_name.sql", "0001_outbox.sql"}
"""A library's file, the form of names, and a file of each schema."""


def texts(path: str) -> list[str]:
    """Every text that stands by itself: docstrings of modules, classes, functions and values."""
    return [
        node.value.value
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def is_there(named: str, path: str) -> bool:
    """Beside the file that names it, or below one of the folders above it."""
    return any((folder / named).is_file() for folder in (ROOT / path).parents if folder.is_relative_to(ROOT))


def test_a_file_that_a_docstring_names_is_there() -> None:
    missing = {
        (path, named)
        for path in product_files()
        for text in texts(path)
        for named in _FILE.findall(text)
        if named not in OF_OTHERS and not is_there(named, path)
    }
    assert missing == set()


def test_a_missing_file_is_seen() -> None:
    assert is_there("states.py", "services/notifier/domain/takedown.py")
    assert is_there("domain/states.py", "services/notifier/api/refused_decisions.py")
    assert not is_there("machine/looking.py", "services/notifier/domain/takedown.py")


def test_every_module_and_every_public_class_says_what_it_is() -> None:
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path in product_files()
        for node in parsed(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node) is None
    ]
    silent += [
        path for path in product_files() if not path.endswith("__init__.py") and ast.get_docstring(parsed(path)) is None
    ]
    assert silent == []
