"""The three ways through the code name files and functions that are there, and turn once on each leg."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.house.test_rooms import contracts

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


def depths() -> dict[str, int]:
    """How far down each room and module is: services side by side, shared below all of them. What no contract places is purer still."""
    layers = contracts()
    deepest = max(len(layers[f"{name}: rooms in layers"]) for name in ("intake", "matcher", "notifier", "console"))
    found: dict[str, int] = {}
    for name, rooms in layers.items():
        below = deepest if name == "shared: rooms in layers" else 0
        found |= {room: below + depth for depth, layer in enumerate(rooms) for room in layer}
    return found


def depth_of(path: str) -> int:
    known = depths()
    parts = path.removesuffix(".py").split("/")
    for length in range(len(parts), 1, -1):
        if (name := ".".join(parts[:length])) in known:
            return known[name]
    assert path.count("/") == 1, f"{path} is in no room"
    assert path.startswith("shared/")
    return max(known.values()) + 1  # a single pure module of shared


def legs_of(text: str) -> list[list[str]]:
    """Each leg (a heading), as the file where each of its numbered steps happens: the first that the step names."""
    legs = []
    for leg in text.split("\n## ")[1:]:
        steps = re.split(r"\n(?=\d+\. )", leg)[1:]
        named = [re.search(r"`((?:services|shared)/[\w/]+\.py)`", step) for step in steps]
        legs.append([one.group(1) for one in named if one is not None])
    return legs


def turns(depths_of_steps: list[int]) -> int:
    """How often going down becomes going up, or the other way round."""
    moves = [after > before for before, after in pairwise(depths_of_steps) if after != before]
    return sum(after != before for before, after in pairwise(moves))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.stem)
def test_on_each_leg_a_way_goes_down_and_up_once(way: Path) -> None:
    legs = legs_of(way.read_text())
    assert sum(len(leg) for leg in legs) >= 6
    assert len(legs) >= 2
    for leg in legs:
        courses = [depth_of(path) for path in leg]
        assert turns(courses) <= 1, list(zip(leg, courses, strict=True))


def test_a_way_that_goes_down_twice_is_seen() -> None:
    assert [turns(one) for one in ([1, 4, 9, 4], [3, 3, 19, 9, 7], [1, 9, 4, 9], [4, 12, 4, 9, 7], [2])] == [
        1,
        1,
        2,
        3,
        0,
    ]
    assert depth_of("services/notifier/domain/takedown.py") < depth_of("shared/outbox/outbox.py")
    assert depth_of("shared/outbound/fetch.py") < depth_of("shared/agreement.py")
