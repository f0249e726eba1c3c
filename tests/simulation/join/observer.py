"""What each process has been told, noted where its own code applies it, and what of that its files keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from services.matcher.consumer import assignment as assignment_module
from services.matcher.consumer import content_follower as content_module
from services.matcher.consumer import sightings_follower as sightings_module
from services.matcher.consumer import snapshots as snapshots_module
from services.matcher.consumer.decoding import admit_record, apply_content
from services.matcher.history.history import History
from services.matcher.index.array_file import digest_of
from services.matcher.register.register import Register
from services.matcher.state import files as state_files_module
from services.matcher.state.files import StateFiles
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

    patch(content_module, "apply_content", noted_apply)
    patch(sightings_module, "admit_record", noted_admit)
    patch(assignment_module, "admit_record", noted_admit)
    _observe_files(patch)


def _observe_files(patch: Callable[[object, str, object], None]) -> None:
    """What is written keeps what was known when it was frozen; what is read has it again."""
    frozen: dict[int, tuple[object, dict[Any, Any]]] = {}
    written: dict[bytes, dict[Any, Any]] = {}
    freeze_register, freeze_history = Register.freeze, History.freeze
    write_register, write_history = StateFiles.write_register, state_files_module.write_history
    read_register, read_history = StateFiles.read_register, StateFiles.read_history

    def noted_register(register: Register) -> object:
        found = freeze_register(register)
        frozen[id(found)] = (found, dict(known_contents(register)))
        return found

    def noted_history(history: History) -> object:
        found = freeze_history(history)
        frozen[id(found)] = (found, dict(known_erased(history)))
        return found

    def noted_write_register(self: StateFiles, what: Any) -> None:
        write_register(self, what)
        written[_digest(self.folder / "register")] = frozen.pop(id(what))[1]

    def noted_write_history(life: Path, what: Any) -> None:
        write_history(life, what)
        written[_digest(life / "manifest")] = frozen.pop(id(what))[1]

    def noted_read_register(self: StateFiles) -> Register | None:
        register = read_register(self)
        if register is not None:
            known_contents(register).update(written.get(_digest(self.folder / "register"), {}))
        return register

    def noted_read_history(self: StateFiles, partition: int) -> History | None:
        history = read_history(self, partition)
        if history is not None and history.folder is not None:
            known_erased(history).update(written.get(_digest(history.folder / "manifest"), {}))
        return history

    patch(Register, "freeze", noted_register)
    patch(History, "freeze", noted_history)
    patch(StateFiles, "write_register", noted_write_register)
    patch(snapshots_module, "write_history", noted_write_history)
    patch(StateFiles, "read_register", noted_read_register)
    patch(StateFiles, "read_history", noted_read_history)


def _digest(path: Path) -> bytes:
    """Of what it says: a bit flipped where arrays are kept apart damages nothing, and such a file is read."""
    return digest_of(path)
