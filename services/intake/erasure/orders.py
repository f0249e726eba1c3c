"""Orders of erasure, given in the transaction of the withdrawal that they follow from. A worker carries them out on the log until it
acknowledges."""

from __future__ import annotations

from uuid import UUID

from services.intake.store import advisory_locks, erasures, matched_urls, rejections, reports
from shared.db.pool import Tx


async def erase_reports_of_claim(tx: Tx, content_id: UUID, claim_id: UUID) -> None:
    """Erase the reports of the claim's case, and order the erasure of what was seen for them, whether it agreed with anything or not. To
    be called while the claim still has its case reference."""
    await advisory_locks.lock_erasures(tx)
    await erasures.order_reported_urls(tx, content_id, await reports.delete_reports_of_claim(tx, claim_id))


async def erase_reports_of_draft(tx: Tx, case_id: UUID, organisation_id: str, case_ref: str | None) -> None:
    """Erase the reports of a case of which nothing was declared, and order the erasure of what was seen for them. The case's id stands
    where a content's would: nothing was ever matched for it."""
    await advisory_locks.lock_erasures(tx)
    await erasures.order_reported_urls(
        tx, case_id, await reports.delete_reports_of_draft(tx, organisation_id, case_ref)
    )
    await erasures.order_some_urls_and_matches(tx, case_id, ())  # so that the row's bytes are freed, too


async def order_erasure(tx: Tx, content_id: UUID) -> None:
    """Erase the content's reports here, and order the erasure of its URLs and match records on the log."""
    await advisory_locks.lock_erasures(tx)
    await erasures.order_reported_urls(tx, content_id, await reports.delete_reports_of_content(tx, content_id))
    await erasures.delete_unsent_matches(tx, content_id)
    await erasures.order_urls_and_matches(tx, content_id)
    await matched_urls.forget_urls(tx, content_id)
    await rejections.forget_rejections(tx, content_id)
