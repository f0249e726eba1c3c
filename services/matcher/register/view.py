"""What a register gives to its readers: its entries, and a view that can be searched while content is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.matcher.index.fingerprint_index import FingerprintTable, Hit
from services.matcher.index.protocol import Hashes, Hits, Numbers
from shared.contracts.content import Assurance
from shared.media.fingerprints import Algorithm, Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewEntry:
    """One fingerprint of active content. `offset` is that of the content event that brought it, as it stands."""

    number: int
    content_id: UUID
    offset: int
    fingerprint: Fingerprint
    assurance: Assurance
    max_distance: int
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterView:
    """A register to be searched in any thread, while content goes on entering and leaving it elsewhere: nothing waits for a search.

    All that had been applied when it was taken, and has not left since, is found. What enters later may be; of what leaves, `entries`
    knows nothing more, or what it was: `Register.contains` tells, once it is asked where content enters.
    """

    table: FingerprintTable
    entries: Callable[[Numbers], list[ViewEntry]]
    """`Register.entries`"""

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        return self.table.search(wanted)

    def search_values(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """As `FingerprintTable.search_values`."""
        return self.table.search_values(algorithm, values)
