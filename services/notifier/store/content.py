"""What the notifier knows of content and claims: one row per content for ever, the claims' terms, matches that came too early."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.notifier.domain.events import ContentView, Terms
from services.notifier.store.takedowns import SCHEMA, Answer
from shared.access import stops
from shared.contracts.claims import ClaimChanged, ClaimState
from shared.contracts.content import ContentChanged, ContentState, RegisteredFingerprint
from shared.contracts.matches import MatchFound
from shared.db.pool import Tx

LIVE_CLAIMS = (ClaimState.CONFIRMED.value, ClaimState.WITHDRAWING.value)
"""States in which a claim's terms hold."""
POSSIBLE_MINOR = "possible_minor"
INTAKE = "intake"
"""Whose stops say what `content` does."""
FETCHING = f"{SCHEMA.name}.fetching"
"""Whose stop it is that no fetch and no look begins, while `content` or what was decided here says so."""
WITHDRAWING = "withdrawing"
"""Why `content` is suspended while a withdrawal can be undone: this is no answer to a suspension that was decided here."""

_ENSURE = "INSERT INTO notifier.content (content_id) VALUES (%s) ON CONFLICT DO NOTHING"
_LOCK = """
SELECT revision, state, suspended_for, withdrawn_for, suspended_here_for, suspended_by_intake, new_demands_held,
    fetching_stopped, fetching_stopped_here
FROM notifier.content WHERE content_id = %s FOR {strength}
"""

# A suspension decided here ends when `content` itself has said suspended; a possible minor's only when it says so for that
# reason, since a suspension for another, from before intake knew, may end by itself.
_APPLY = """
UPDATE notifier.content SET revision = %(revision)s, state = %(state)s, suspended_for = %(suspended_for)s,
    withdrawn_for = %(withdrawn_for)s, fingerprints = %(fingerprints)s::jsonb, changed_at = now(),
    suspended_here_for = CASE
        WHEN %(state)s = 'withdrawn' THEN NULL
        WHEN %(state)s = 'suspended' AND (suspended_here_for <> 'possible_minor' OR %(suspended_for)s = 'possible_minor') THEN NULL
        ELSE suspended_here_for END,
    new_demands_held = CASE WHEN %(state)s = 'withdrawn' THEN NULL ELSE new_demands_held END,
    fetching_stopped = %(fetching_stopped)s,
    fetching_stopped_here = fetching_stopped_here AND NOT %(fetching_stopped)s AND %(state)s <> 'withdrawn'
WHERE content_id = %(content_id)s
RETURNING revision, state, suspended_for, withdrawn_for, suspended_here_for, suspended_by_intake, new_demands_held,
    fetching_stopped, fetching_stopped_here
"""

_APPLY_CLAIM = """
INSERT INTO notifier.claims AS c (claim_id, content_id, revision, state, organisation_id, subject_jurisdictions,
    do_not_contact, demands_not_before, authority_recorded, two_confirmed, evidence_wanted, withdrawal_reason, changed_at,
    since)
VALUES (%(claim_id)s, %(content_id)s, %(revision)s, %(state)s, %(organisation_id)s, %(subject_jurisdictions)s,
    %(do_not_contact)s, %(demands_not_before)s, %(authority_recorded)s, %(two_confirmed)s, %(evidence_wanted)s,
    %(withdrawal_reason)s, %(changed_at)s, %(changed_at)s)
ON CONFLICT (claim_id) DO UPDATE SET content_id = excluded.content_id, revision = excluded.revision, state = excluded.state,
    subject_jurisdictions = excluded.subject_jurisdictions,
    -- Kept past the withdrawal: who must not be contacted must not be sent a retraction either.
    do_not_contact = CASE WHEN excluded.state = 'withdrawn' THEN c.do_not_contact ELSE excluded.do_not_contact END,
    authority_recorded = excluded.authority_recorded, two_confirmed = excluded.two_confirmed,
    evidence_wanted = excluded.evidence_wanted,
    demands_not_before = excluded.demands_not_before, withdrawal_reason = excluded.withdrawal_reason,
    changed_at = excluded.changed_at
WHERE c.revision < excluded.revision
RETURNING claim_id
"""

# Over a content's live claims (of withdrawn content: over all of them): the union of domains and jurisdictions, the latest moment,
# and what is so of one of them.
_TERMS = """
WITH live AS (
    SELECT do_not_contact, subject_jurisdictions, demands_not_before, authority_recorded, two_confirmed, evidence_wanted
    FROM notifier.claims c
    WHERE content_id = %(content_id)s AND (state = ANY(%(live)s) OR state = 'withdrawn' AND EXISTS (
        SELECT 1 FROM notifier.content k WHERE k.content_id = c.content_id AND k.state = 'withdrawn'))
)
SELECT count(*) AS claims, max(demands_not_before) AS demands_not_before, clock_timestamp() AS now,
       coalesce(bool_or(authority_recorded), false) AS authority_recorded,
       coalesce(bool_or(two_confirmed), false) AS two_confirmed, coalesce(bool_or(evidence_wanted), false) AS evidence_wanted,
       coalesce((SELECT array_agg(DISTINCT d ORDER BY d) FROM live, unnest(do_not_contact) d), '{}') AS do_not_contact,
       coalesce((SELECT array_agg(DISTINCT j ORDER BY j) FROM live, unnest(subject_jurisdictions) j), '{}')
           AS subject_jurisdictions
FROM live
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownContent:
    """The row of a content, locked. `state` None: not heard of yet."""

    revision: int
    state: ContentState | None
    suspended_for: str | None
    withdrawn_for: str | None
    suspended_here_for: str | None
    suspended_by_intake: bool
    new_demands_held: str | None
    fetching_stopped: bool
    fetching_stopped_here: bool
    """Decided here, and `content` does not say so yet."""

    @property
    def view(self) -> ContentView:
        """What the pure code sees: a suspension decided here counts before intake has applied it."""
        suspended_here = self.suspended_here_for is not None and self.state is ContentState.ACTIVE
        return ContentView(
            state=ContentState.SUSPENDED if suspended_here else self.state,
            suspended_for=self.suspended_here_for if suspended_here else self.suspended_for,
            withdrawn_for=self.withdrawn_for,
            new_demands_held=self.new_demands_held is not None,
            fetching_stopped=self.fetching_stopped or self.fetching_stopped_here,
        )


async def ask_lock(tx: Tx, content_id: UUID, *, exclusive: bool) -> Answer:
    """Ask for the row of a content, locked: shared for what happens to one of its takedowns, exclusive for what happens to it (or
    to several of its takedowns)."""
    return await tx.execute(_LOCK.format(strength="UPDATE" if exclusive else "SHARE").encode(), (content_id,))


async def content_row(answer: Answer) -> KnownContent | None:
    """The row that was asked for; None: the content was never heard of (see `ensure`)."""
    row = await answer.fetchone()
    if row is None:
        return None
    return KnownContent(**{**row, "state": None if row["state"] is None else ContentState(row["state"])})


async def ensure(tx: Tx, content_id: UUID) -> None:
    """Make the row of a content that was never heard of, so that it can be locked."""
    await tx.execute(_ENSURE, (content_id,))


async def apply_content(tx: Tx, event: ContentChanged) -> KnownContent:
    """Write a content's new state; the caller holds the exclusive lock and has looked at the revision. Gives what it is now."""
    fingerprints = () if event.state is ContentState.WITHDRAWN else event.fingerprints
    cursor = await tx.execute(
        _APPLY,
        {
            "content_id": event.content_id,
            "revision": event.revision,
            "state": event.state,
            "suspended_for": event.suspended_for,
            "withdrawn_for": event.withdrawn_for,
            "fetching_stopped": event.fetching == "stopped",
            "fingerprints": json.dumps([one.model_dump(mode="json", exclude_none=True) for one in fingerprints]),
        },
    )
    row = await content_row(cursor)
    assert row is not None, "it is locked"
    if event.state is ContentState.WITHDRAWN:
        await stops.lift(tx, event.content_id, by=SCHEMA.name)
    elif event.suspended_for not in (None, WITHDRAWING) and row.suspended_here_for is None:
        # Intake has a stop of its own for it; or not, if it has lifted that one and has not heard of ours: ours stays then.
        await stops.hand_over(tx, event.content_id, by=SCHEMA.name, to=INTAKE)
    await _keep_fetching_stop(tx, event.content_id)
    return row


async def _keep_fetching_stop(tx: Tx, content_id: UUID) -> None:
    cursor = await tx.execute(
        "SELECT (fetching_stopped OR fetching_stopped_here) AS stopped FROM notifier.content WHERE content_id = %s",
        (content_id,),
    )
    row = await cursor.fetchone()
    if row is not None and row["stopped"]:
        await stops.put(tx, content_id, by=FETCHING, reason=stops.FETCHING)
    else:
        await stops.lift(tx, content_id, by=FETCHING)


async def suspend_here(tx: Tx, content_id: UUID, reason: str | None, *, by_intake: bool = False) -> None:
    """Suspend the content here until `content` says so (None: lift it). Only where `content` says active: else it does already."""
    await tx.execute(
        "UPDATE notifier.content SET suspended_here_for = %s, suspended_by_intake = %s WHERE content_id = %s AND state = 'active'",
        (reason, by_intake, content_id),
    )
    if reason is None:
        await stops.lift(tx, content_id, by=SCHEMA.name)
        return
    if by_intake:  # it has a stop of its own
        return
    cursor = await tx.execute("SELECT state FROM notifier.content WHERE content_id = %s", (content_id,))
    row = await cursor.fetchone()
    if row is not None and row["state"] != ContentState.WITHDRAWN:
        # A reason of ours, or a person's words, which no other service is to read.
        reason = reason if reason == POSSIBLE_MINOR else ContentState.SUSPENDED.value
        await stops.put(tx, content_id, by=SCHEMA.name, reason=reason)


async def stop_fetching_here(tx: Tx, content_id: UUID, *, stopped: bool) -> None:
    """Stop fetching here until `content` says so; or let go what was stopped here alone."""
    await tx.execute(
        "UPDATE notifier.content SET fetching_stopped_here = %(stopped)s AND NOT fetching_stopped"
        " WHERE content_id = %(content_id)s AND state IS DISTINCT FROM 'withdrawn'",
        {"content_id": content_id, "stopped": stopped},
    )
    await _keep_fetching_stop(tx, content_id)


async def hold_new_demands(tx: Tx, content_id: UUID, reason: str | None) -> None:
    """Hold the content's demands that were not issued yet (None: let them go)."""
    await tx.execute("UPDATE notifier.content SET new_demands_held = %s WHERE content_id = %s", (reason, content_id))


async def fingerprints_of(tx: Tx, content_id: UUID) -> tuple[RegisteredFingerprint, ...]:
    """The content's fingerprints; none once withdrawn."""
    cursor = await tx.execute("SELECT fingerprints FROM notifier.content WHERE content_id = %s", (content_id,))
    row = await cursor.fetchone()
    return () if row is None else fingerprints_from(row["fingerprints"])


def fingerprints_from(data: list[dict[str, Any]]) -> tuple[RegisteredFingerprint, ...]:
    return tuple(RegisteredFingerprint.model_validate(one) for one in data)


async def apply_claim(tx: Tx, event: ClaimChanged) -> bool:
    """Write a claim; False: a newer revision is already here."""
    row = {**event.model_dump(), "do_not_contact": list(event.do_not_contact)}
    row["subject_jurisdictions"] = list(event.subject_jurisdictions)
    # A claim's assurance is the weaker of its two people's: where it is sure, both have looked.
    row["two_confirmed"] = event.assurance is not None and event.assurance.sure
    return await (await tx.execute(_APPLY_CLAIM, row)).fetchone() is not None


async def ask_terms(tx: Tx, content_id: UUID) -> Answer:
    """Ask for the terms of a content, and the database's clock."""
    return await tx.execute(_TERMS, {"content_id": content_id, "live": list(LIVE_CLAIMS)})


async def terms_and_now(answer: Answer) -> tuple[Terms | None, datetime]:
    """What a demand (of withdrawn content: a retraction) may rest on, and the time. None: no confirmed claim is known yet."""
    row = await answer.fetchone()
    assert row is not None
    if row["claims"] == 0:
        return None, row["now"]
    terms = Terms(
        do_not_contact=tuple(row["do_not_contact"]),
        demands_not_before=row["demands_not_before"],
        subject_jurisdictions=tuple(row["subject_jurisdictions"]),
        authority_recorded=row["authority_recorded"],
        two_confirmed=row["two_confirmed"],
        evidence_wanted=row["evidence_wanted"],
    )
    return terms, row["now"]


async def park_match(tx: Tx, event_id: str, event: MatchFound) -> None:
    """Keep a match that overtook its content or claim."""
    await tx.execute(
        "INSERT INTO notifier.waiting_matches (event_id, content_id, data) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (event_id, event.content_id, event.model_dump_json().encode()),
    )


async def take_waiting(tx: Tx, content_id: UUID, *, at_most: int) -> tuple[tuple[str, MatchFound], ...]:
    """So many waiting matches of a content (with their event ids), oldest first; they wait no longer."""
    cursor = await tx.execute(
        "WITH first AS (SELECT event_id FROM notifier.waiting_matches WHERE content_id = %s AND due_at IS NULL"
        " ORDER BY arrived_at, event_id LIMIT %s),"
        " gone AS (DELETE FROM notifier.waiting_matches w USING first f WHERE w.event_id = f.event_id"
        " RETURNING w.event_id, w.data, w.arrived_at)"
        " SELECT event_id, data FROM gone ORDER BY arrived_at, event_id",
        (content_id, at_most),
    )
    return tuple(
        (row["event_id"], MatchFound.model_validate_json(bytes(row["data"]))) for row in await cursor.fetchall()
    )


async def make_waiting_due(tx: Tx, content_id: UUID) -> int:
    """What still waits for this content is received one by one from now on (`application/pending_changes_worker.py`); how many."""
    cursor = await tx.execute(
        "UPDATE notifier.waiting_matches SET due_at = clock_timestamp() WHERE content_id = %s AND due_at IS NULL",
        (content_id,),
    )
    return cursor.rowcount


async def drop_waiting(tx: Tx, content_id: UUID) -> None:
    """Nothing comes of what waits for a content that is withdrawn."""
    await tx.execute("DELETE FROM notifier.waiting_matches WHERE content_id = %s", (content_id,))


async def take_due_match(tx: Tx, event_id: str, lease_id: UUID) -> MatchFound | None:
    """A match that waited and is due, which it is no more. None: another has it by now, or its content is withdrawn."""
    cursor = await tx.execute(
        "DELETE FROM notifier.waiting_matches WHERE event_id = %s AND lease_id = %s RETURNING data",
        (event_id, lease_id),
    )
    row = await cursor.fetchone()
    return None if row is None else MatchFound.model_validate_json(bytes(row["data"]))


# What a withdrawal erases is erased within one turn or two of the upkeep.
WITHDRAWN_LATELY = """
SELECT EXISTS (SELECT 1 FROM notifier.content WHERE state = 'withdrawn' AND changed_at > now() - %s::interval) AS lately
"""

# Who must not be contacted is forgotten when nobody is left to be notified of a withdrawal: every takedown has heard of it, no
# retraction waits, and no message is under way of which one may follow.
_FORGET_TERMS = """
UPDATE notifier.claims c SET do_not_contact = '{}'
FROM notifier.content k
WHERE k.content_id = c.content_id AND k.state = 'withdrawn' AND c.state = 'withdrawn' AND c.do_not_contact <> '{}'
  AND NOT EXISTS (SELECT 1 FROM notifier.messages m JOIN notifier.takedowns t USING (takedown_id)
                  WHERE t.content_id = c.content_id AND m.kind = 'demand.retracted' AND m.state IN ('due', 'idle'))
  AND NOT EXISTS (SELECT 1 FROM notifier.untold u JOIN notifier.takedowns t USING (takedown_id) WHERE t.content_id = c.content_id)
  AND NOT EXISTS (SELECT 1 FROM notifier.attempts a JOIN notifier.takedowns t USING (takedown_id)
                  WHERE t.content_id = c.content_id AND a.outcome IS NULL AND a.started_at > statement_timestamp() - %s::interval)
"""


async def forget_terms(tx: Tx, *, attempts_end_within: timedelta) -> None:
    """Forget whom the claims of withdrawn content said not to contact, once nobody is left to be written to about it."""
    await tx.execute(_FORGET_TERMS, (attempts_end_within,))
