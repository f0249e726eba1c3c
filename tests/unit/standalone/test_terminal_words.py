"""What the command line calls the words of the API."""

from __future__ import annotations

from typing import get_args

from services.notifier.domain.states import TaskKind
from services.standalone.cli.cases import Decision
from services.standalone.terminal.tasks import WAITING
from shared.contracts.decisions import DecisionKind


def test_every_kind_of_task_says_why_it_waits() -> None:
    assert WAITING.keys() == {kind.value for kind in TaskKind}
    assert not [text for text in WAITING.values() if "_" in text]


def test_every_decision_can_be_taken_on_the_command_line() -> None:
    assert set(get_args(Decision)) == {kind.value for kind in DecisionKind} - {
        DecisionKind.LOOKED
    }  # a command of its own
