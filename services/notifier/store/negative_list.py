"""The negative list in its table: known harmless hashes, as `takedown.content` has them. A check takes none of them for content."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.content import NegativeEntry
from shared.contracts.event import MalformedEvent
from shared.db.pool import Tx
from shared.media.fingerprints import BadFingerprint, parse_fingerprint

# An entry never changes. Its row stays when it is removed, without its value: an addition that is delivered late adds nothing.
_ADD = "INSERT INTO notifier.negative_list (entry_id, algorithm, value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"

_REMOVE = "UPDATE notifier.negative_list SET value = NULL WHERE entry_id = %s"


async def add(tx: Tx, event: NegativeEntry) -> None:
    """Take in an entry; one that is known, or was removed, stays as it is. Raises MalformedEvent for a value that cannot be used."""
    try:
        fingerprint = parse_fingerprint(event.algorithm, event.value)
    except BadFingerprint as error:
        raise MalformedEvent(f"/value: {error.title}") from None
    await tx.execute(_ADD, (event.entry_id, fingerprint.algorithm.value, fingerprint.value))


async def remove(tx: Tx, entry_id: UUID) -> bool:
    """Forget an entry's value. False: this id was never on the list."""
    return (await tx.execute(_REMOVE, (entry_id,))).rowcount == 1
