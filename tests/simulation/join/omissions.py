"""Ways to leave out one rule of the join. The product has no switches: a test replaces one small method."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any
from uuid import UUID

from services.matcher.consumer import assignment as assignment_module
from services.matcher.consumer import content_follower as content_module
from services.matcher.consumer import sightings_follower as sightings_module
from services.matcher.consumer.assignment import PartitionAssignment
from services.matcher.consumer.commits import OffsetPair, resume_from
from services.matcher.consumer.content_follower import ContentFollower
from services.matcher.consumer.decoding import decode_sightings
from services.matcher.consumer.offset_committer import OffsetCommitter
from services.matcher.consumer.partitions import THE_CONTENT
from services.matcher.consumer.publisher import MatchPublisher
from services.matcher.consumer.sightings_follower import SightingsFollower
from services.matcher.consumer.worker import Matcher
from services.matcher.index.fingerprint_index import FingerprintTable
from services.matcher.join.matching import one_for_each
from services.matcher.register.contents import BURIED
from services.matcher.register.register import Register
from services.matcher.sightings.batch import SeenBatch
from shared.contracts.content import ContentState
from shared.errors import Poison
from shared.media.fingerprints import Fingerprint
from shared.policy import Policy

Patch = Callable[[object, str, Any], None]


async def nothing(*_: object) -> None:
    """A step left out."""


# Add before you look, and durable before committed


def look_at_register_before_adding(patch: Patch) -> None:
    admit, look_up, waiting = SightingsFollower.admit, SightingsFollower.look_up, "waiting"

    async def only_decode(self: Any, owned: Any, records: Any, position: int) -> Any:
        decoded = []
        for record in records:
            try:
                decoded.append(decode_sightings(record))
            except Poison:
                continue
        self.__dict__.setdefault(waiting, []).append((owned, records, position))
        return [one for one in decoded if isinstance(one, SeenBatch)]

    async def look_up_then_add(self: Any, sightings: Any) -> Any:
        found = await look_up(self, sightings)
        for owned, records, position in self.__dict__.pop(waiting, []):
            await admit(self, owned, records, position)
        return found

    patch(SightingsFollower, "admit", only_decode)
    patch(SightingsFollower, "look_up", look_up_then_add)


def look_at_history_before_adding(patch: Patch) -> None:
    scan = ContentFollower.scan

    class Delayed(FingerprintTable):
        """What is searched, told of new entries only after they were scanned."""

        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[tuple[int, Fingerprint]] = []

        def add(self, numbered: Iterable[tuple[int, Fingerprint]]) -> None:
            self.waiting.extend(numbered)

        def catch_up(self) -> None:
            super().add(self.waiting)
            self.waiting = []

        def remove(self, number: int, fingerprint: Fingerprint) -> None:
            self.catch_up()
            super().remove(number, fingerprint)

    init = Register.__init__

    def delayed(self: Any, **given: Any) -> None:
        init(self, **given)
        self._table = Delayed()

    async def scan_then_add(self: Any, entries: Any, over: Any) -> None:
        await scan(self, entries, over)
        self._register._table.catch_up()

    patch(Register, "__init__", delayed)
    patch(ContentFollower, "scan", scan_then_add)


def commit_sightings_before_durable(patch: Patch) -> None:
    publish = SightingsFollower.publish

    async def commit_first(self: Any, found: Any, sightings: Any, upto: Any) -> None:
        for owned, position in upto.items():
            owned.handled_to = position
        await self._committer.commit(upto)
        await publish(self, found, sightings, upto)

    patch(SightingsFollower, "publish", commit_first)


def commit_content_before_durable(patch: Patch) -> None:
    scan = ContentFollower.scan

    async def scanned_first(self: Any, entries: Any, over: Any) -> None:
        self.scanned_to = self._register.position
        await scan(self, entries, over)

    patch(ContentFollower, "scan", scanned_first)


# The commit


def content_offset_apart(patch: Patch) -> None:
    """C is not in the partition's record: it is how far this process has read."""

    async def resume_point(self: PartitionAssignment, owned: Any) -> OffsetPair:
        pair = await original(self, owned)
        return dataclasses.replace(pair, content=self.register.position)

    original = PartitionAssignment.resume_point
    patch(PartitionAssignment, "resume_point", resume_point)


def content_offset_from_kept_state(patch: Patch) -> None:
    release, original = SightingsFollower._release, PartitionAssignment.resume_point

    def keep(self: Any, partition: Any) -> None:
        owned = self.owned.get(partition)
        if owned is not None and owned.ready:
            owned.history.kept_content = self._committer.pair_of(owned).content
        release(self, partition)

    async def resume_point(self: PartitionAssignment, owned: Any) -> OffsetPair:
        pair = await original(self, owned)
        return dataclasses.replace(pair, content=max(pair.content, getattr(owned.history, "kept_content", 0)))

    patch(SightingsFollower, "_release", keep)
    patch(PartitionAssignment, "resume_point", resume_point)


def late_commits_count(patch: Patch) -> None:
    """Both lines of it: the log takes them (`refuses_late_commits`), and the process sends them."""
    patch(OffsetCommitter, "may_commit", lambda self, owned: owned.ready)


def believing_commits(*believed: str) -> Callable[[Patch], None]:
    """Leave out some of the checks of `resume_from`."""

    def leave_out(patch: Patch) -> None:
        def resume(commit: Any, logs: Any, *, beginning: int, end: int, content_end: int) -> OffsetPair:
            if commit is None or not commit.metadata:
                return OffsetPair(sightings=beginning, content=0)
            metadata = json.loads(commit.metadata)
            if "sightings_log" in believed:
                logs = dataclasses.replace(logs, sightings=metadata["sightings_log"])
            if "content_log" in believed:
                logs = dataclasses.replace(logs, content=metadata["content_log"])
            return resume_from(
                commit,
                logs,
                beginning=beginning,
                end=10**9 if "end" in believed else end,
                content_end=10**9 if "content_end" in believed else content_end,
            )

        patch(assignment_module, "resume_from", resume)

    return leave_out


def any_register_will_do(patch: Patch) -> None:
    async def usable(self: Matcher, register: Register, logs: Any) -> bool:
        return True

    patch(Matcher, "_usable", usable)


# Assignment


def no_restore(patch: Patch) -> None:
    patch(PartitionAssignment, "restore_history", nothing)


def no_erasures_ahead(patch: Patch) -> None:
    patch(PartitionAssignment, "apply_erasures", nothing)


def not_to_the_end(patch: Patch) -> None:
    patch(PartitionAssignment, "read_register_to_end", nothing)


def end_asked_once(patch: Patch) -> None:
    async def once(self: PartitionAssignment) -> None:
        end = await self.dependencies.log.end(THE_CONTENT)
        while self.register.position < end:
            await self.progress.wait()

    patch(PartitionAssignment, "read_register_to_end", once)


def join_after_scan(patch: Patch) -> None:
    scan_history = PartitionAssignment.scan_history

    async def scan_then_join(self: PartitionAssignment, owned: Any, pair: OffsetPair) -> None:
        await scan_history(self, owned, pair)
        owned.joined = True

    patch(PartitionAssignment, "join_scanned_set", lambda self, owned: None)
    patch(PartitionAssignment, "scan_history", scan_then_join)


def scan_only_just_applied(patch: Patch) -> None:
    resume_point, scan_history = PartitionAssignment.resume_point, PartitionAssignment.scan_history
    known_at: dict[int, int] = {}

    async def note_position(self: PartitionAssignment, owned: Any) -> OffsetPair:
        known_at[id(owned)] = self.register.position
        return await resume_point(self, owned)

    async def scan_new(self: PartitionAssignment, owned: Any, pair: OffsetPair) -> None:
        await scan_history(self, owned, dataclasses.replace(pair, content=max(pair.content, known_at[id(owned)])))

    patch(PartitionAssignment, "resume_point", note_position)
    patch(PartitionAssignment, "scan_history", scan_new)


def no_scan(patch: Patch) -> None:
    async def note_only(self: PartitionAssignment, owned: Any, pair: OffsetPair) -> None:
        owned.scanned_to = self.register.position

    patch(PartitionAssignment, "scan_history", note_only)


def go_on_at_kept_position(patch: Patch) -> None:
    start_reading = PartitionAssignment.start_reading

    async def kept(self: PartitionAssignment, owned: Any, pair: OffsetPair) -> None:
        await start_reading(
            self, owned, dataclasses.replace(pair, sightings=max(pair.sightings, owned.history.position))
        )

    patch(PartitionAssignment, "start_reading", kept)


def choose_before_looking(patch: Patch) -> None:
    send = MatchPublisher.send

    async def choose_first(self: Any, found: Any, reported: Sequence[Any] = ()) -> None:
        chosen = {id(one) for one in one_for_each([agreement for _, agreement in found], Policy())}
        await send(self, [(owned, one) for owned, one in found if id(one) in chosen], reported)

    patch(MatchPublisher, "send", choose_first)


def marks_dropped_while_matching(patch: Patch) -> None:
    patch(content_module, "busy", lambda partitions: nullcontext())
    patch(sightings_module, "busy", lambda partitions: nullcontext())


# The register


def any_revision(patch: Patch) -> None:
    patch(Register, "_supersedes", lambda self, event, known: known is None or known != BURIED)


def withdrawals_forgotten(patch: Patch) -> None:
    apply = Register.apply

    def forgetting(self: Any, offset: int, event: Any, **more: Any) -> Any:
        entries = apply(self, offset, event, **more)
        if event.state is not ContentState.ACTIVE and self.revision_of(event.content_id) == event.revision:
            del self._contents._rows[event.content_id.bytes]
        return entries

    patch(Register, "apply", forgetting)


def tombstone_means_nothing(patch: Patch) -> None:
    patch(Register, "apply_tombstone", lambda self, content_id: None)


def suspended_stays(patch: Patch) -> None:
    apply = Register.apply

    def staying(self: Any, offset: int, event: Any, **more: Any) -> Any:
        return () if event.state is ContentState.SUSPENDED else apply(self, offset, event, **more)

    patch(Register, "apply", staying)


def only_content_never_met_is_scanned(patch: Patch) -> None:
    apply = Register.apply

    def first_time_only(self: Any, offset: int, event: Any, **more: Any) -> Any:
        met: set[UUID] = self.__dict__.setdefault("met", set())
        entries = apply(self, offset, event, **more)
        if event.content_id in met:
            entries = ()
        met.add(event.content_id)
        return entries

    patch(Register, "apply", first_time_only)


def no_age(patch: Patch) -> None:
    patch(Register, "too_old", lambda self, now: False)
