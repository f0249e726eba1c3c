"""What a sightings partition commits: one record with both offsets, and the logs they belong to."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.log.port import Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIdentities:
    """The identities of the two logs (`cluster/topic id`) as they were when reading began."""

    content: str
    sightings: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetPair:
    """Every pair of a sighting below `sightings` and a content event below `content` has been met, and its match is durable."""

    sightings: int
    content: int


class _Metadata(BaseModel):
    """The metadata of a commit, as JSON."""

    model_config = ConfigDict(extra="ignore", strict=True)

    content: int = Field(ge=0)
    content_log: str
    sightings_log: str


def as_commit(pair: OffsetPair, logs: LogIdentities) -> Commit:
    metadata = _Metadata(content=pair.content, content_log=logs.content, sightings_log=logs.sightings)
    return Commit(offset=pair.sightings, metadata=metadata.model_dump_json())


def resume_from(
    commit: Commit | None, logs: LogIdentities, *, beginning: int, end: int, content_end: int
) -> OffsetPair:
    """The pair of offsets to go on from: the committed one, as far as it belongs to these logs and lies within them. A commit of another
    log, or ahead of its end, counts as none. `beginning` and `end` are the sightings partition's; what retention has cut off is not waited
    for.

    A commit of another log, or ahead of its end, counts as none. `beginning` and `end` are the sightings partition's; what
    retention has cut off is not waited for.
    """
    metadata = _parse(commit)
    if commit is None or metadata is None or metadata.sightings_log != logs.sightings or commit.offset > end:
        return OffsetPair(sightings=beginning, content=0)
    known = metadata.content_log == logs.content and metadata.content <= content_end
    return OffsetPair(sightings=max(commit.offset, beginning), content=metadata.content if known else 0)


def _parse(commit: Commit | None) -> _Metadata | None:
    if commit is None:
        return None
    try:
        return _Metadata.model_validate_json(commit.metadata)
    except ValidationError:
        return None
