"""Every answer that can be kept has its words on the page, whichever way it came."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.notifier.api.host_page import LABELS, answer_of, label_of
from services.notifier.application.host_answers import Response
from services.notifier.domain.events import AnswerKind, RemovalMethod, ResponseReason
from services.notifier.store.answers import Kept

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


def test_what_no_table_takes_is_left_out_of_an_answer() -> None:
    answer = answer_of(
        "response-legal", datetime.now(UTC), ticket_ref="\0", suggested=" a\0b ", text="we\ud800 cannot" + "." * 5000
    )
    assert isinstance(answer, Response)
    assert (answer.ticket_ref, answer.suggested_recipient) == (None, "ab")
    assert answer.text is not None
    assert (answer.text[:9], len(answer.text)) == ("we cannot", 4000)
