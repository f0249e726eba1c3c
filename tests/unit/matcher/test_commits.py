"""Where to go on: a commit counts as far as it is of these logs and within them."""

from __future__ import annotations

import json

import pytest

from services.matcher.consumer.commits import LogIdentities, OffsetPair, as_commit, resume_from
from shared.log.port import Commit

LOGS = LogIdentities(content="c/1", sightings="c/2")
NONE = OffsetPair(sightings=3, content=0)


def resumed(commit: Commit | None) -> OffsetPair:
    return resume_from(commit, LOGS, beginning=3, end=20, content_end=10)


@pytest.mark.parametrize("pair", [OffsetPair(sightings=3, content=0), OffsetPair(sightings=20, content=10)])
def test_a_commit_of_these_logs_counts(pair: OffsetPair) -> None:
    assert resumed(as_commit(pair, LOGS)) == pair


def test_no_commit_means_earliest() -> None:
    assert resumed(None) == NONE


@pytest.mark.parametrize(
    "metadata", ["", "{}", "7", '{"content":1}', '{"content":-1,"content_log":"c/1","sightings_log":"c/2"}']
)
def test_a_commit_that_cannot_be_read_counts_as_none(metadata: str) -> None:
    assert resumed(Commit(offset=5, metadata=metadata)) == NONE


def test_of_another_log_or_ahead_of_its_end_it_counts_as_none() -> None:
    pair = OffsetPair(sightings=8, content=4)
    assert resumed(as_commit(pair, LogIdentities(content="c/1", sightings="c/9"))) == NONE
    assert resumed(as_commit(OffsetPair(sightings=21, content=4), LOGS)) == NONE
    assert resumed(as_commit(pair, LogIdentities(content="c/9", sightings="c/2"))) == OffsetPair(sightings=8, content=0)
    assert resumed(as_commit(OffsetPair(sightings=8, content=11), LOGS)) == OffsetPair(sightings=8, content=0)


def test_what_retention_cut_off_is_not_waited_for() -> None:
    assert resumed(as_commit(OffsetPair(sightings=1, content=4), LOGS)) == OffsetPair(sightings=3, content=4)


def test_the_metadata_is_what_the_log_keeps() -> None:
    commit = as_commit(OffsetPair(sightings=8, content=4), LOGS)
    assert (commit.offset, json.loads(commit.metadata)) == (
        8,
        {"content": 4, "content_log": "c/1", "sightings_log": "c/2"},
    )
