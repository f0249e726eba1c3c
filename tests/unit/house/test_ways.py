"""The three ways through the code name files and functions that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WAYS = sorted((ROOT / "docs" / "ways").glob("*-to-*.md"))


def defined_in(path: str) -> set[str]:
    """Functions at the top, classes, and `Class.method`."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{one.name}"
                for one in node.body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def steps_of(text: str) -> list[tuple[str, str]]:
    """Pairs written as `file` `function`, one right after the other, and methods named by themselves."""
    pairs = re.findall(r"`((?:services|shared)/[\w/]+\.py)`\s+`([\w.]+)`", text)
    files = re.findall(r"`((?:services|shared)/[\w/]+\.py)`", text)
    return pairs + [(one, "") for one in files]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.stem)
def test_every_file_and_function_is_there(way: Path) -> None:
    steps = steps_of(way.read_text())
    assert len(steps) > 10
    missing = [
        f"{path} {name}"
        for path, name in steps
        if not (ROOT / path).is_file() or (name and name not in defined_in(path))
    ]
    assert missing == []


def test_there_are_three_of_them() -> None:
    assert [way.stem for way in WAYS] == ["answer-to-state", "match-to-post", "sighting-to-match"]
