"""One meaning a word: what names in the code may be made of it, and where."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.house.test_rooms import parsed, product_files

# A hold waits for a person's release: of a takedown, of a content's new demands, of a domain.
HOLD = {"hold", "holds", "held", "holding"}
HOLDS = ("services/notifier/", "services/standalone/", "shared/contracts/decisions.py")
# The way by which a message reaches its recipient: a webhook or e-mail. What PostgreSQL notifies of is a wake-up.
CHANNEL = {"channel", "channels"}
CHANNELS = ("services/notifier/", "services/standalone/cli/hosts.py")
# What a caller is told; else what is published, notified or reported. `telling_fails` is the name of a task for people and programs.
TELL = {"tell", "tells", "told", "untold", "telling"}
TOLD = ("services/console/", "services/standalone/cli/cases.py")
STORED = {"TELLING_FAILS", "most_telling"}


def names_in(tree: ast.Module) -> Iterator[str]:
    """Every name that the code gives: functions and their parameters, classes, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
            yield from (one.arg for one in (*node.args.args, *node.args.kwonlyargs))
        elif isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def words_of(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def named_elsewhere(words: set[str], rooms: tuple[str, ...]) -> set[tuple[str, str]]:
    return {
        (path, name)
        for path in product_files()
        if not path.startswith(rooms)
        for name in names_in(parsed(path))
        if words & words_of(name) and name not in STORED
    }


def test_a_hold_is_what_a_person_releases() -> None:
    assert named_elsewhere(HOLD, HOLDS) == set()


def test_a_channel_brings_a_message_to_its_recipient() -> None:
    assert named_elsewhere(CHANNEL, CHANNELS) == set()


def test_what_is_told_is_told_to_a_caller() -> None:
    assert named_elsewhere(TELL, TOLD) == set()


def test_a_word_within_a_name_is_seen() -> None:
    assert words_of("RegisteredContent.release_hold") >= {"release", "hold"}
    assert words_of("FloodHeld") == {"flood", "held"}
    assert not words_of("threshold") & HOLD
