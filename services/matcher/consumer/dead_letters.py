"""A record of the stream that nobody can read is referenced in the dead letters, and reading goes on."""

from __future__ import annotations

from services.matcher.consumer.partitions import GROUP, MatcherDependencies
from services.matcher.consumer.publisher import MatchPublisher
from shared.errors import Poison
from shared.log.dead_letters import letter_of
from shared.log.port import Record


class DeadLetterWriter:
    """Writes dead letters for the matcher's group."""

    def __init__(self, dependencies: MatcherDependencies, publisher: MatchPublisher) -> None:
        self._dependencies = dependencies
        self._publisher = publisher

    async def refer(self, record: Record, error: Poison, log_id: str) -> None:
        """Reference the record of this log, with what is wrong with it; durable when it returns."""
        letter = letter_of(record, error, group=GROUP, log_id=log_id, at=self._dependencies.clock())
        await self._publisher.send_dead_letter(letter)
