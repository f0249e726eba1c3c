"""The matcher's files: what is read is what was written, whatever dies on the way, and what is damaged counts as none."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.history.history import History
from services.matcher.index.fingerprint_index import FingerprintTable
from services.matcher.register.register import Register
from services.matcher.state import files as state_files
from services.matcher.state.files import StateFiles, StateInUse, write_history
from shared.contracts.content import ContentState, NegativeEntry
from shared.media.fingerprints import Algorithm, Fingerprint
from tests.matcher_world import content, registered
from tests.unit.matcher.test_history import KEPT, MD5, NOW, VALUES, found, pdq, seen

STEP = timedelta(days=1)


def files_in(folder: Path, *, head_entries: int = 2) -> StateFiles:
    files = StateFiles(folder=folder, kept=KEPT, head_entries=head_entries)
    os.close(files.lock())
    return files


def write(history: History) -> None:
    assert history.folder is not None
    write_history(history.folder, history.freeze())


def an_empty_history(files: StateFiles) -> History:
    return files.new_history("log", 3, NOW)


def everything(history: History) -> set[tuple[str, int]]:
    return set().union(*(found(history, one) for one in (*map(pdq, VALUES), MD5)))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_history_read_back_is_as_it_was_and_goes_on(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Written now and then, and read back at any time: the same as one that lived on in memory."""
    rng = random.Random(seed)
    files = files_in(tmp_path_factory.mktemp("state"), head_entries=rng.choice([1, 3, 100]))
    living, kept = an_empty_history(files), History(log_id="log", position=0, kept=KEPT, erasures_known_at=NOW)
    for offset in range(30):
        url = rng.choice("uvwxyz")
        for history in (living, kept):
            if offset % 7 == 6:
                history.erase((1, url), offset)
            else:
                history.admit([seen(offset, url, pdq(VALUES[offset % 3]), MD5, days=offset)])
            history.position = offset + 1
            history.expire(NOW + KEPT + offset * STEP / 2)
        if rng.random() < 0.3:
            write(living)
            if rng.random() < 0.6:
                again = files.read_history(3)
                assert again is not None
                assert (again.position, again.erasures_known_at, again.log_id) == (offset + 1, NOW, "log")
                living = again
        assert everything(living) == everything(kept)
        assert len(living) == len(kept)


def a_written_history(files: StateFiles) -> History:
    history = an_empty_history(files)
    for offset in range(5):
        history.admit([seen(offset, f"u{offset}", pdq(VALUES[0]))])
    history.position = 5
    write(history)
    return history


def a_death(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("dies_at", ["write_columns", "write_stored", "_sweep"])
def test_dying_while_a_history_is_written_leaves_the_one_before_or_the_new_one(
    dies_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(tmp_path)
    history = a_written_history(files)
    before = everything(history)
    for offset in range(5, 11):
        history.admit([seen(offset, f"u{offset}", pdq(VALUES[1]))])
    with monkeypatch.context() as patch:
        patch.setattr(state_files, dies_at, a_death)
        with pytest.raises(KeyboardInterrupt):
            write(history)
    after = everything(history)
    again = files.read_history(3)
    assert again is not None
    assert everything(again) == (after if dies_at == "_sweep" else before)
    named = {one.name for one in again.folder.iterdir()} if again.folder is not None else set()
    write(again)
    assert again.folder is not None
    assert len({one.name for one in again.folder.iterdir()}) <= len(named) + 1


def test_what_nobody_names_is_swept(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    history = a_written_history(files)
    assert history.folder is not None
    left = [history.folder / "segment-0000009999", history.folder / "manifest.abc", history.folder / "recent-1.xyz"]
    left[0].mkdir()
    (left[0] / "rows").write_bytes(b"half")
    for one in left[1:]:
        one.write_bytes(b"half")
    (tmp_path / "register.tmp").write_bytes(b"half")
    files_in(tmp_path)
    again = files.read_history(3)
    assert again is not None
    assert everything(again) == everything(history)
    assert not any(one.exists() for one in (*left, tmp_path / "register.tmp"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-70])


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1 if raw[-1] else len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [cut, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("what", ["manifest", "recent-*", "segment-*/rows", "segment-*/index/list"])
def test_a_damaged_history_counts_as_none(damage: Callable[[Path], object], what: str, tmp_path: Path) -> None:
    files = files_in(tmp_path)
    history = a_written_history(files)
    assert history.folder is not None
    damage(next(iter(history.folder.glob(what))))
    assert files.read_history(3) is None
    assert 3 not in files.partitions()


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    files = files_in(tmp_path / "state")
    a_written_history(files)
    files.write_register(Register(log_id="log", started_at=NOW).freeze())
    for one in [tmp_path / "state", *(tmp_path / "state").rglob("*")]:
        assert stat.S_IMODE(one.stat().st_mode) == (0o700 if one.is_dir() else 0o600), one.name


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    files = StateFiles(folder=tmp_path, kept=KEPT)
    descriptor = files.lock()
    with pytest.raises(StateInUse):
        files.lock()
    os.close(descriptor)
    os.close(files.lock())


def test_a_register_read_back_keeps_revisions_and_withdrawals(tmp_path: Path) -> None:
    files, register = files_in(tmp_path), Register(log_id="log", started_at=datetime(2026, 1, 2, tzinfo=UTC))
    active, withdrawn, buried, suspended = (UUID(int=number) for number in range(4))
    one, two = registered(VALUES[0], orientation="mirror", max_distance=7), registered(VALUES[1][:16], "md5")
    register.apply(0, content(active, 2, registered(VALUES[2])))
    entries = register.apply(1, content(active, 3, one, two), traceparent="00-aa-bb-01")
    for number, content_id in enumerate((withdrawn, buried, suspended)):
        register.apply(2 + number, content(content_id, 5, registered(VALUES[2])))
    register.apply(5, content(withdrawn, 6, state=ContentState.WITHDRAWN))
    register.apply_tombstone(buried)
    register.apply(6, content(suspended, 7, registered(VALUES[2]), state=ContentState.SUSPENDED))
    harmless = NegativeEntry(entry_id=UUID(int=9), algorithm="md5", value=MD5.hex, confirmed_at=NOW)
    register.negative_list.apply(harmless)
    register.position = 7
    files.write_register(register.freeze())
    assert VALUES[2] not in (tmp_path / "register").read_bytes(), "what left is not in the file"
    again = files.read_register()
    assert again is not None
    assert (again.log_id, again.position, again.at_end_at) == ("log", 7, register.at_end_at)
    assert tuple(again.entries_from(0)) == entries
    assert again.negative_list.entries() == (harmless,)
    assert again.negative_list.nearest([MD5]) == {MD5: 0}
    assert [hit.number for hit in again.view().search([Fingerprint(algorithm=Algorithm.PDQ, value=VALUES[0])])] == [
        entries[0].number
    ]
    assert again.apply(8, content(withdrawn, 5, registered(VALUES[2]))) == ()
    assert again.apply(9, content(buried, 99, registered(VALUES[2]))) == ()
    assert again.revision_of(suspended) == 7
    (back,) = again.apply(10, content(suspended, 8, registered(VALUES[2])))
    assert not register.contains(back)
    assert again.apply(11, content(active, 4, one, two)) == (), "nothing changed"


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b"")])
def test_a_damaged_register_counts_as_none(damage: Callable[[Path], object], tmp_path: Path) -> None:
    files = files_in(tmp_path)
    assert files.read_register() is None
    register = Register(log_id="log", started_at=NOW)
    register.apply(0, content(UUID(int=1), 1, registered(VALUES[0])))
    files.write_register(register.freeze())
    damage(tmp_path / "register")
    assert files.read_register() is None
    assert not (tmp_path / "register").exists()


MANY = [random.Random(100 + number).randbytes(32) for number in range(40)]


def a_register_with_index(folder: Path) -> tuple[StateFiles, Register]:
    """Written twice, so that there is an index of the first file to be mistaken."""
    files, register = replace(files_in(folder), index_from=2), Register(log_id="log", started_at=NOW)
    register.apply(0, content(UUID(int=0), 1, *map(registered, MANY[:20]), registered(VALUES[0][:16], "md5")))
    files.write_register(register.freeze())
    shutil.copytree(the_index(folder), folder / "first")
    register.apply(1, content(UUID(int=1), 1, *map(registered, MANY[20:])))
    register.apply(2, content(UUID(int=0), 2, *map(registered, MANY[:10]), registered(VALUES[0][:16], "md5")))
    files.write_register(register.freeze())
    return files, register


def the_index(folder: Path) -> Path:
    (found,) = folder.glob("register-index-*")
    return found


def of_the_first_file(index: Path) -> None:
    name = index.name
    shutil.rmtree(index)
    (index.parent / "first").rename(index.parent / name)


def one_file_of_the_first(index: Path) -> None:
    shutil.copy(index.parent / "first" / "pdq", index / "pdq")


@pytest.mark.parametrize(
    ("damage", "used"),
    [
        (lambda index: None, True),
        (shutil.rmtree, False),
        (of_the_first_file, False),
        (one_file_of_the_first, False),
        (lambda index: flip(index / "pdq"), False),
        (lambda index: cut(index / "md5"), False),
        (lambda index: (index / "list").unlink(), False),
    ],
    ids=["whole", "gone", "of another file", "one of another file", "damaged", "cut", "not listed"],
)
def test_a_register_uses_the_index_of_just_its_file_or_builds_one(
    damage: Callable[[Path], object], used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, register = a_register_with_index(tmp_path)
    damage(the_index(tmp_path))
    built: list[None] = []
    add = FingerprintTable.add
    monkeypatch.setattr(FingerprintTable, "add", lambda self, numbered: built.append(add(self, numbered)))
    again = files.read_register()
    assert again is not None
    assert (not built) == used
    assert tuple(again.entries_from(0)) == tuple(register.entries_from(0))
    wanted = [Fingerprint(algorithm=Algorithm.PDQ, value=value) for value in MANY]
    wanted.append(Fingerprint(algorithm=Algorithm.MD5, value=VALUES[0][:16]))
    assert sorted(map(repr, again.view().search(wanted))) == sorted(map(repr, register.view().search(wanted)))
    (more,) = again.apply(3, content(UUID(int=2), 1, registered(MANY[15])))
    assert [hit.number for hit in again.view().search(wanted[15:16])] == [more.number]


def test_a_register_small_enough_has_no_index_on_disk(tmp_path: Path) -> None:
    files, register = a_register_with_index(tmp_path)
    register.apply(3, content(UUID(int=1), 2, state=ContentState.WITHDRAWN))
    replace(files, index_from=1_000).write_register(register.freeze())
    assert not list(tmp_path.glob("register-index-*"))
    assert files.read_register() is not None
