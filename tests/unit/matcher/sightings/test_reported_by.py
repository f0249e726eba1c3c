"""Which API key a sighting came by travels into its match: live, from memory, and from what was read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from services.matcher.history.history import History
from services.matcher.join.matching import match_against_history, match_against_register, match_record
from services.matcher.register.register import Register
from services.matcher.sightings.sighting import StoredSighting
from services.matcher.state import files as state_files
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from tests.matcher_world import as_batch, content, registered
from tests.unit.matcher.test_history import NOW, VALUES, pdq, seen
from tests.unit.matcher.test_state import an_empty_history, files_in, write

REGISTER = Register(log_id="log", started_at=NOW)
ENTRIES = REGISTER.apply(0, content(UUID(int=1), 1, *(registered(value) for value in VALUES)))
URLS = ("https://h.test/u", "https://h.test/v", "\x01 odd w")
KEYS = ("ab" * 8, "cd" * 8, None)
EXPECTED = dict(zip(URLS, KEYS, strict=True))


def sightings() -> list[StoredSighting]:
    """By two keys, and one from before."""
    found = (seen(number, url, pdq(VALUES[number])) for number, url in enumerate(URLS))
    return [replace(one, reported_by=EXPECTED[one.url_key]) for one in found]


def told(history: History) -> dict[str, str | None]:
    return {one.seen.url_key: one.seen.reported_by for one in match_against_history(history, ENTRIES)}


def test_live() -> None:
    agreements = match_against_register(REGISTER.view(), [as_batch(one) for one in sightings()])
    found = {}
    for one in agreements:
        record = match_record(one, revision=1, fingerprint_key=b"k" * 32, now=NOW)
        match = decode(MODELS, value=record.value, headers=record.headers).event
        assert isinstance(match, MatchFound)
        found[match.url_key] = match.reported_by
    assert found == EXPECTED


@pytest.mark.parametrize("whole_records", [True, False])
def test_from_memory_from_segments_and_read_back(whole_records: bool, tmp_path: Path) -> None:
    files = files_in(tmp_path, head_entries=2)
    history = an_empty_history(files)
    for one in sightings():
        history.admit(as_batch(one) if whole_records else [one])
        history.position = one.offset + 1
    assert told(history) == EXPECTED
    write(history)
    again = files.read_history(3)
    assert again is not None
    assert told(again) == EXPECTED


def test_what_an_earlier_version_wrote_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_in(tmp_path)
    with monkeypatch.context() as earlier:
        earlier.setattr(state_files, "_VERSION", 1)
        history = an_empty_history(files)
        history.admit(sightings()[:1])
        write(history)
        assert files.read_history(3) is not None
    assert files.read_history(3) is None
    assert 3 not in files.partitions()
