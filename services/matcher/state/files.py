"""The matcher's state on disk, apart from when it is written (`consumer/snapshots.py`).

    <folder>/lock                          held by the one process that uses the folder
    <folder>/register                      the register
    <folder>/register-index-<digest>/      the index of its values: that of the file with this digest, and of no other
    <folder>/history-<partition>/<life>/   a history, from empty to thrown away: segments, `recent-…` (what is in no segment yet), and
                                           `manifest`, which says what of it counts

Each file is written beside, fsynced and renamed (`index/array_file.py`); a history is what its manifest names, so whatever dies
on the way leaves the one before. What no manifest names is removed. All of it can be deleted: it is rebuilt from the log.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

import numpy as np
import structlog
from pydantic import TypeAdapter

from services.matcher.history.history import HEAD_ENTRIES, Frozen, History, RunTask, at_once, segment_name
from services.matcher.history.segments import read_columns, read_segment, write_columns
from services.matcher.index.array_file import BadIndexFile, StoredIndex, digest_of, read_stored, write_stored
from services.matcher.index.fingerprint_index import FingerprintTable
from services.matcher.register.contents import CONTENT_COLUMNS
from services.matcher.register.entries import ENTRY_COLUMNS, tidied
from services.matcher.register.register import FrozenRegister, Register
from services.matcher.sightings.columns import Mask, empty, from_micros, joined, to_micros
from shared.contracts.content import NegativeEntry
from shared.errors import Transient

log = structlog.get_logger(__name__)

_VERSION = 2
"""1 did not keep by which API key a sighting came."""
_REGISTER, _MANIFEST, _LOCK = "register", "manifest", "lock"
_INDEX = "register-index-"
_KIND_OF_REGISTER, _KIND_OF_MANIFEST = "matcher-register", "matcher-history"

_NEGATIVE_LIST = TypeAdapter(tuple[NegativeEntry, ...])

State = TypeVar("State")


class StateInUse(Transient):
    """Another process uses the matcher's state folder. Two matchers need different names (`TAKEDOWN_MEMBER`)."""


@dataclass(frozen=True, kw_only=True)
class StateFiles:
    """`folder` is made by `lock`, with mode 0700. Methods read and write files: call them where waiting hurts nobody."""

    folder: Path
    kept: timedelta
    run: RunTask = at_once
    head_entries: int = HEAD_ENTRIES
    index_from: int = 20_000
    """Fingerprints in a register whose index is worth a file: it is built as soon for fewer."""

    # The folder

    def lock(self) -> int:
        """Make the folder, and hold it until the descriptor is closed. Raises StateInUse, OSError."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StateInUse from None
        for left in self.folder.glob(f"{_REGISTER}.*"):  # of a process that died while it wrote
            left.unlink()
        return descriptor

    def partitions(self) -> frozenset[int]:
        """The partitions of which there is a history."""
        return frozenset(int(one.name.partition("-")[2]) for one in self.folder.glob("history-*"))

    def discard_history(self, partition: int) -> None:
        rmtree(self._of(partition), ignore_errors=True)

    def _of(self, partition: int) -> Path:
        return self.folder / f"history-{partition}"

    # Register

    def write_register(self, frozen: FrozenRegister) -> None:
        """Write the register. Raises OSError."""
        entries, firsts = tidied(frozen.entries, frozen.contents["first"])
        contents = {**frozen.contents, "first": firsts}
        about = {
            "version": _VERSION,
            "log_id": frozen.log_id,
            "position": frozen.position,
            "at_end_at": to_micros(frozen.at_end_at),
            "next_number": frozen.next_number,
        }
        arrays = {f"entries.{name}": one for name, one in entries.items()}
        arrays |= {f"contents.{name}": one for name, one in contents.items()}
        arrays["negative_list"] = np.frombuffer(_NEGATIVE_LIST.dump_json(frozen.negative_list), dtype=np.uint8)
        path = self.folder / _REGISTER
        write_stored(path, StoredIndex(kind=_KIND_OF_REGISTER, words=(json.dumps(about),), arrays=arrays))
        digest = digest_of(path).hex()
        if frozen.table is not None and len(entries["number"]) >= self.index_from:
            frozen.table.save(self.folder / f"{_INDEX}{digest}", of=digest)
        for other in self.folder.glob(f"{_INDEX}*"):
            if other.name != f"{_INDEX}{digest}":
                rmtree(other, ignore_errors=True)

    def read_register(self) -> Register | None:
        """The register that was written. None where there is none, or none that can be read: that one is removed."""
        path = self.folder / _REGISTER
        if not path.exists():
            return None
        return _read(lambda: self._register_from(path), lambda: path.unlink(missing_ok=True), what=_REGISTER)

    def _register_from(self, path: Path) -> Register:
        frozen = _frozen_from(path)
        try:
            table = self._index_of(path, frozen)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            log.warning("register.index_not_used", error=type(error).__name__)
            table = None
        return Register.of(replace(frozen, table=table))

    def _index_of(self, path: Path, frozen: FrozenRegister) -> FingerprintTable | None:
        """None where none was worth a file. The rows are what counts: an index that is not of just this file is not used."""
        count = len(frozen.entries["number"])
        if count < self.index_from:
            return None
        digest = digest_of(path).hex()
        table = FingerprintTable.load(self.folder / f"{_INDEX}{digest}", of=digest)
        if sum(table.sizes().values()) != count:
            raise BadIndexFile("the index has not as many values as the register")
        return table

    # Histories

    def new_history(self, log_id: str, partition: int, now: datetime) -> History:
        """An empty one; what there was is removed. Raises OSError.

        Each has a folder of its own, so that what is still written of a former one is never taken for its.
        """
        self.discard_history(partition)
        folder = self._of(partition) / secrets.token_hex(8)
        folder.parent.mkdir(mode=0o700)
        folder.mkdir(mode=0o700)
        return self._history(log_id, partition, position=0, erasures_known_at=now, folder=folder)

    def read_history(self, partition: int) -> History | None:
        """The history that was written. None where there is none, or none that can be read: that one is removed."""

        lives = [one.parent for one in self._of(partition).glob(f"*/{_MANIFEST}")]
        if len(lives) != 1:  # none was written; there are never two, as one is made anew only when the other is gone
            self.discard_history(partition)
            return None
        return _read(
            lambda: self._history_from(partition, lives[0]),
            lambda: self.discard_history(partition),
            what=f"history-{partition}",
        )

    def _history(
        self, log_id: str, partition: int, *, position: int, erasures_known_at: datetime, folder: Path
    ) -> History:
        return History(
            log_id=log_id,
            position=position,
            kept=self.kept,
            erasures_known_at=erasures_known_at,
            partition=partition,
            folder=folder,
            run=self.run,
            head_entries=self.head_entries,
        )

    def _history_from(self, partition: int, life: Path) -> History:
        manifest, about = _stored(life / _MANIFEST, _KIND_OF_MANIFEST)
        segments = [
            (number, read_segment(life / segment_name(number), _mask(manifest, number, count)))
            for number, count in about["segments"]
        ]
        recent = empty() if about["recent"] is None else read_columns(life / about["recent"])
        history = self._history(
            about["log_id"],
            partition,
            position=about["position"],
            erasures_known_at=from_micros(about["told_at"]),
            folder=life,
        )
        history.restore(segments, recent, about["next_number"])
        _sweep(life, {segment_name(number) for number, _ in about["segments"]} | {about["recent"]}, below=None)
        return history


def write_history(life: Path, frozen: Frozen) -> None:
    """Write what is in no segment, then the manifest; then remove what neither this nor the living history needs. Raises OSError."""
    pieces = [columns.only(alive) for columns, alive in frozen.recent]
    recent = f"recent-{frozen.next_number:010d}" if pieces else None
    if recent is not None:
        write_columns(life / recent, joined(pieces))
    about = {
        "version": _VERSION,
        "log_id": frozen.log_id,
        "partition": frozen.partition,
        "position": frozen.position,
        "told_at": to_micros(frozen.erasures_known_at),
        "segments": [(number, len(alive)) for number, alive in frozen.segments],
        "recent": recent,
        "next_number": frozen.next_number + 1,
    }
    arrays = {segment_name(number): np.packbits(alive) for number, alive in frozen.segments}
    write_stored(life / _MANIFEST, StoredIndex(kind=_KIND_OF_MANIFEST, words=(json.dumps(about),), arrays=arrays))
    named = {segment_name(number) for number, _ in frozen.segments} | {segment_name(one) for one in frozen.unknown}
    _sweep(life, {*named, recent}, below=frozen.next_number)


def _sweep(life: Path, needed: set[str | None], *, below: int | None) -> None:
    """Remove what is not needed. `below`: segments of this number and above are younger than what says what is needed."""
    for one in life.iterdir():
        number = one.name.partition("-")[2]
        younger = below is not None and number.isdigit() and int(number) >= below
        if one.name == _MANIFEST or one.name in needed or younger:
            continue
        if one.is_dir():
            rmtree(one)
        else:
            one.unlink()


def _mask(manifest: StoredIndex, number: int, count: int) -> Mask:
    bits = manifest.take(segment_name(number), np.uint8, 1, ((count + 7) // 8,))
    return np.unpackbits(bits, count=count).astype(np.bool_)


def _frozen_from(path: Path) -> FrozenRegister:
    """Raises BadIndexFile and OSError."""
    stored, about = _stored(path, _KIND_OF_REGISTER)
    arrays: dict[str, dict[str, Any]] = {"entries": {}, "contents": {}}
    for kind, columns in (("entries", ENTRY_COLUMNS), ("contents", CONTENT_COLUMNS)):
        for name, (dtype, width) in columns.items():
            arrays[kind][name] = stored.take(f"{kind}.{name}", dtype, 1 if width is None else 2)
    arrays["entries"]["alive"] = np.ones(len(arrays["entries"]["number"]), dtype=np.bool_)
    arrays["entries"]["trace_end"] = stored.take("entries.trace_end", np.int64, 1)
    arrays["entries"]["traces"] = stored.take("entries.traces", np.uint8, 1)
    return FrozenRegister(
        log_id=about["log_id"],
        position=about["position"],
        at_end_at=from_micros(about["at_end_at"]),
        next_number=about["next_number"],
        negative_list=_NEGATIVE_LIST.validate_json(stored.take("negative_list", np.uint8, 1).tobytes()),
        entries=arrays["entries"],
        contents=arrays["contents"],
    )


def _stored(path: Path, kind: str) -> tuple[StoredIndex, dict[str, Any]]:
    """Raises BadIndexFile and OSError."""
    stored = read_stored(path)
    if stored.kind != kind:
        raise BadIndexFile(f"{path.name} is of kind {stored.kind!r}, not {kind!r}")
    about = json.loads(stored.words[0])
    if about["version"] != _VERSION:
        raise BadIndexFile(f"{path.name} is of version {about['version']}")
    return stored, about


def _read(read: Callable[[], State], discard: Callable[[], None], *, what: str) -> State | None:
    """Read a file, or discard it: nothing in a damaged file may stop the matcher, since the log has everything."""
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        log.error("state.thrown_away", what=what, error=type(error).__name__)
    discard()
    return None
