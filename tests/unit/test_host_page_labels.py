"""Every answer that can be kept has its words on the page, whichever way it came."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.notifier.answers import Kept
from services.notifier.events import AnswerKind, RemovalMethod, ResponseReason
from services.notifier.page import LABELS, label_of

KEPT = [
    (AnswerKind.ACKNOWLEDGEMENT, None),
    *((AnswerKind.REMOVAL, word) for word in RemovalMethod),
    *((AnswerKind.RESPONSE, word) for word in ResponseReason),
]


@pytest.mark.parametrize(("kind", "word"), KEPT)
def test_it_is_shown_in_words(kind: AnswerKind, word: str | None) -> None:
    kept = Kept(answer_id=uuid4(), demand_id=uuid4(), kind=kind, word=word, received_at=datetime.now(UTC))
    assert label_of(kept) in LABELS.values()


def test_there_is_no_choice_beside_these() -> None:
    assert len(LABELS) == len(KEPT)
