"""Publishes matches: each is checked again just before, and at each retry; all are durable when `send` returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog

from services.matcher.consumer.partitions import MatcherDependencies, PartitionState, StartOver
from services.matcher.join.matching import (
    SOURCE,
    Agreement,
    Subject,
    match_record,
    not_to_be_sent,
    one_for_each,
    unmatched_record,
    with_negative_list,
)
from services.matcher.register.register import Register
from services.matcher.sightings.sighting import StoredSighting
from shared.contracts.dead_letters import DeadLetter
from shared.log.port import LogUnavailable, OutgoingRecord, Publisher, RecordTooLarge
from shared.log.runner import backoff_seconds, dead_letter_record
from shared.process.metrics import DEAD_LETTERS, MATCH_DROPPED, MATCHES

log = structlog.get_logger(__name__)

BATCH = 500
"""How many subjects are checked and published at once."""
ATTEMPTS = 8
"""Tries of one batch; then the session starts over, and all is matched again from what is committed."""

Found = tuple[PartitionState, Agreement]


class MatchPublisher:
    """Publishes the matches of one session."""

    def __init__(self, dependencies: MatcherDependencies, register: Register, publisher: Publisher) -> None:
        self._dependencies = dependencies
        self._register = register
        self._publisher = publisher

    async def send(
        self, found: Sequence[Found], reported: Sequence[tuple[PartitionState, StoredSighting]] = ()
    ) -> None:
        """Publish the matches found, and which reported sightings have none.

        Raises StartOver when the register is too old to look at, LogUnavailable after `ATTEMPTS`.
        """
        published = await self._send_matches(found)
        await self._send_unmatched(reported, published)

    async def send_dead_letter(self, letter: DeadLetter) -> None:
        await self._publish_again_until_taken([dead_letter_record(letter, SOURCE)])
        DEAD_LETTERS.labels(letter.group, letter.topic).inc()
        log.error("record.dead_lettered", topic=letter.topic, partition=letter.partition, offset=letter.offset)

    async def _send_matches(self, found: Sequence[Found]) -> set[Subject]:
        published: set[Subject] = set()
        for batch in _batches(found):
            published.update(await self._send_batch(batch))
        return published

    async def _send_batch(self, found: Sequence[Found]) -> set[Subject]:
        """Publish all matches of some subjects. Gives the subjects for which one was published."""
        attempt = 1
        while True:
            # All that still stands, then one of it for each: were the choice made first, a choice that fell would hide the rest.
            found = self._standing(found)
            agreements = with_negative_list([agreement for _, agreement in found], self._register.negative_list)
            chosen = one_for_each(agreements, self._dependencies.policy)
            try:
                await self._publish([self._record(agreement) for agreement in chosen])
            except LogUnavailable as error:
                attempt = await self._wait(attempt, error)
                continue
            for agreement in chosen:
                MATCHES.labels(agreement.fingerprint.algorithm.value, "yes" if agreement.guards else "no").inc()
            return {agreement.subject for agreement in chosen}

    def _standing(self, found: Sequence[Found]) -> list[Found]:
        """The agreements that may still be sent, as far as is known here and now."""
        if self._register.too_old(self._dependencies.clock()):
            raise StartOver("the register is too old")
        standing = []
        for owned, agreement in found:
            reason = self._dropped_because(owned, agreement)
            if reason is None:
                standing.append((owned, agreement))
            else:
                MATCH_DROPPED.labels(reason).inc()
        return standing

    def _dropped_because(self, owned: PartitionState, agreement: Agreement) -> str | None:
        if owned.lost:
            return "not_owned"  # erasures are not heard of any more; the next owner matches it again
        return not_to_be_sent(agreement, self._register, owned.history)

    async def _send_unmatched(
        self, reported: Sequence[tuple[PartitionState, StoredSighting]], published: set[Subject]
    ) -> None:
        matched = {(url, sighting) for _, url, sighting in published}
        now = self._dependencies.clock()
        records = [
            unmatched_record(seen, seen.report_id, now=now)
            for owned, seen in reported
            if seen.report_id is not None
            and (seen.url, seen.sighting_id) not in matched
            and not owned.lost
            and not owned.history.erased_after(seen)
        ]
        for start in range(0, len(records), BATCH):
            await self._publish_again_until_taken(records[start : start + BATCH])

    def _record(self, agreement: Agreement) -> OutgoingRecord:
        return match_record(
            agreement,
            revision=self._register.revision_of(agreement.entry.content_id),
            fingerprint_key=self._dependencies.fingerprint_key,
            now=self._dependencies.clock(),
        )

    async def _publish_again_until_taken(self, records: Sequence[OutgoingRecord]) -> None:
        attempt = 1
        while True:
            try:
                return await self._publish(records)
            except LogUnavailable as error:
                attempt = await self._wait(attempt, error)

    async def _publish(self, records: Sequence[OutgoingRecord]) -> None:
        if not records:
            return
        try:
            await self._publisher.publish(records)
        except RecordTooLarge:
            if len(records) == 1:
                log.error("match.too_large", event_id=dict(records[0].headers)["ce_id"].decode())
                return  # the log will never take it; the others go on
            middle = len(records) // 2
            await self._publish(records[:middle])
            await self._publish(records[middle:])

    async def _wait(self, attempt: int, error: LogUnavailable) -> int:
        """Wait before the next attempt. Raises `error` when there have been enough."""
        if attempt >= ATTEMPTS:
            raise error
        await self._dependencies.sleep(backoff_seconds(attempt, 1.0))
        return attempt + 1


def _batches(found: Sequence[Found]) -> Iterator[list[Found]]:
    """What was found in parts of `BATCH` subjects, all there is of a subject in one of them."""
    of_subject: dict[Subject, list[Found]] = {}
    for one in found:
        of_subject.setdefault(one[1].subject, []).append(one)
    subjects = list(of_subject.values())
    for start in range(0, len(subjects), BATCH):
        yield [one for some in subjects[start : start + BATCH] for one in some]
