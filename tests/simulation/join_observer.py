"""What each process has been told, noted where its own code applies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from services.matcher import session as session_module
from services.matcher import takeover as takeover_module
from services.matcher.history import History
from services.matcher.records import admit_record, apply_content
from services.matcher.register import Register
from shared.contracts.content import ContentChanged, ContentState
from shared.contracts.sightings import UrlErased
from shared.log.port import Record


def known_contents(register: Register) -> dict[UUID, tuple[float, ContentState]]:
    found: dict[UUID, tuple[float, ContentState]] = register.__dict__.setdefault("known_to_test", {})
    return found


def known_erased(history: History) -> dict[str, int]:
    found: dict[str, int] = history.__dict__.setdefault("known_to_test", {})
    return found


def observe(patch: Callable[[object, str, object], None]) -> None:
    """Note what each register and history is told. Install it after any change to the code under test."""

    def noted_apply(register: Register, record: Record) -> object:
        known = known_contents(register)
        if record.value is None:
            assert record.key is not None
            known[UUID(record.key.decode())] = (float("inf"), ContentState.WITHDRAWN)
        else:
            event = ContentChanged.model_validate_json(record.value)
            if event.revision > known.get(event.content_id, (0, event.state))[0]:
                known[event.content_id] = (event.revision, event.state)
        return apply_content(register, record)

    def noted_admit(history: History, offset: int, decoded: Any) -> None:
        if isinstance(decoded, UrlErased):
            known = known_erased(history)
            known[decoded.url_key] = max(offset, known.get(decoded.url_key, -1))
        admit_record(history, offset, decoded)

    patch(session_module, "apply_content", noted_apply)
    patch(session_module, "admit_record", noted_admit)
    patch(takeover_module, "admit_record", noted_admit)
