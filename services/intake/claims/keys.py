"""`takedown keys revoke --suspend-content`: what rests on one key alone is suspended until somebody has looked."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.intake.claims import content_steps, negative_list, registered_content
from services.intake.claims.actors import COMMAND_LINE
from services.intake.domain.claims import SuspensionReason, rests_on_distrusted
from services.intake.store import content as contents
from services.intake.store.claims import content_touched_by_key
from services.intake.store.distrusted_keys import distrust_key
from shared.access import audit
from shared.access.keys import revoke_key
from shared.clock import system_clock
from shared.contracts.decisions import DecisionKind
from shared.db.pool import Database, Tx


async def revoke_key_and_suspend(database: Database, key_id: UUID, *, now: datetime | None = None) -> tuple[UUID, ...]:
    """Revoke a key, suspend the content that rests on it alone, and take off the negative list what it declared or confirmed;
    returns those content ids.

    One transaction: a key is not revoked while its content stays active.
    """
    async with database.transaction() as tx:
        await revoke_key(tx, key_id)
        await audit.record(tx, COMMAND_LINE, action="key.revoked", object_kind="key", object_id=key_id)
        await negative_list.remove_of_key(tx, COMMAND_LINE, key_id)
        return await suspend_content_of_key(tx, key_id, now=now)


async def suspend_content_of_key(tx: Tx, key_id: UUID, *, now: datetime | None = None) -> tuple[UUID, ...]:
    """Suspend (`suspended_for` = `key`) content whose confirmed claims this key, and others revoked so, all declared or confirmed;
    returns the ids. What comes to rest on such keys later is suspended then (`settle_content`).

    Content on which a claim of other keys rests too is left alone, unless confirmed variants of it rest on this key: they may be
    of anything, and no claim of another says otherwise.
    """
    moment = now or system_clock()
    await distrust_key(tx, key_id)
    suspended = []
    for row in await content_touched_by_key(tx, key_id):
        content_id = row["content_id"]
        # Locked before it is judged: a withdrawal under way may leave this key's claim alone.
        content = await registered_content.lock_content(tx, content_id)
        if content is None or not (row["has_variants"] or rests_on_distrusted(content.claims)):
            continue
        await content_steps.suspend_for(tx, content_id, SuspensionReason.KEY, by=contents.REVOKED_KEY)
        await content_steps.publish_decision(
            tx, COMMAND_LINE, content_id, DecisionKind.SUSPEND, reason=SuspensionReason.KEY.value, now=moment
        )
        await audit.record(tx, COMMAND_LINE, action="content.suspended", object_kind="content", object_id=content_id)
        suspended.append(content_id)
    return tuple(suspended)
