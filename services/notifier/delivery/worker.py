"""Messages: claim a due one, ask whether it may still be sent, write the attempt down, send it, hand over what became of it.

An attempt is a row before anything leaves. If this process dies, the row has no outcome: it is `unknown`, and the message goes
again with the same id. Everything that can stop a message is read in the attempt's own transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from services.notifier.application.failing_jobs import tell_of_failure
from services.notifier.application.unit_of_work import UnitOfWork, UnitOfWorkFactory
from services.notifier.channels.dispatch import send_rendered
from services.notifier.channels.result import Attempted, AttemptOutcome
from services.notifier.directory import store as directory
from services.notifier.domain.events import AttemptCompleted, AttemptEnded, OutboundRefused, Refusal
from services.notifier.domain.model import MessageKind, Takedown, TakedownState
from services.notifier.domain.takedown import may_send
from services.notifier.notices.render import RenderedMessage, write_letter
from services.notifier.store import takedowns
from shared.access import stops
from shared.db.due_rows import DueTable
from shared.db.due_worker import DueWorker, NoLongerWanted
from shared.db.pool import Row, Tx
from shared.errors import Transient
from shared.process.metrics import ATTEMPT_SECONDS, ATTEMPTS, MAIL_SERVER_REFUSING

log = structlog.get_logger(__name__)

SLOTS = 64
RECORD_TRIES = 5

# A domain on hold, with all under it: of the recipient of message `d`, or of the host where the target of takedown `t` is.
_HELD = """
EXISTS (SELECT 1 FROM notifier.holds h
        WHERE EXISTS (SELECT 1 FROM notifier.host_domains o WHERE o.organisation = d.recipient
                      AND (o.domain = h.domain OR right(o.domain, length(h.domain) + 1) = '.' || h.domain))
           OR t.host = h.domain OR right(t.host, length(h.domain) + 1) = '.' || h.domain)
"""

# The content is stopped, though its takedown may not have heard of it. Of what is withdrawn whoever was asked is told; what stops
# fetches alone stops no message.
_STOPPED = f"""
(EXISTS (SELECT 1 FROM access.stops s WHERE s.content_id = t.content_id AND s.reason <> '{stops.FETCHING}'
         AND NOT (s.reason = '{stops.WITHDRAWN}' AND d.kind = '{MessageKind.RETRACTED.value}'))
 OR EXISTS (SELECT 1 FROM notifier.content k WHERE k.content_id = t.content_id AND (k.state = 'suspended'
            OR k.state = 'withdrawn' AND d.kind <> '{MessageKind.RETRACTED.value}')))
"""

# Everything that can stop it from outside the takedown, in one statement, at the last moment.
_READ = f"""
SELECT d.demand_id, d.kind, d.number, d.attempts, d.created_at, (SELECT is_on FROM notifier.outbound) AS is_on,
       {_HELD} AS held, {_STOPPED} AS stopped, a.attempt_id AS open_attempt, a.started_at AS open_started, a.number AS open_number
FROM notifier.messages d JOIN notifier.takedowns t USING (takedown_id)
LEFT JOIN notifier.attempts a ON a.message_id = d.message_id AND a.outcome IS NULL
WHERE d.message_id = %s AND d.lease_id = %s AND d.state = 'due' FOR UPDATE OF d
"""

# The same for attempts that are about to leave or under way: by the takedown's and the message's state, which whatever stops it has
# written.
_GO_ON = f"""
SELECT d.message_id FROM notifier.messages d JOIN notifier.takedowns t USING (takedown_id)
WHERE d.message_id = ANY(%s) AND d.state = 'due' AND t.state <> 'suspended'
  AND (SELECT is_on FROM notifier.outbound) AND NOT {_HELD} AND NOT {_STOPPED}
"""

_REFUSE = """
UPDATE notifier.messages SET state = CASE WHEN state = 'due' THEN 'idle' ELSE state END, reason = %s,
    lease_id = NULL, lease_until = NULL, failures = 0
WHERE message_id = %s
"""

_START = """
WITH started AS (
    INSERT INTO notifier.attempts (attempt_id, message_id, takedown_id, number, channel, started_at, body_sha256)
    VALUES (%(attempt_id)s, %(message_id)s, %(takedown_id)s, %(number)s, %(channel)s, %(started_at)s, %(body_sha256)s)
)
UPDATE notifier.messages SET attempts = %(number)s WHERE message_id = %(message_id)s
"""

# An attempt that has ended already stays so, and its message with it.
_END = """
WITH ended AS (
    UPDATE notifier.attempts SET ended_at = clock_timestamp(), outcome = %(outcome)s, detail = %(detail)s, status = %(status)s,
        address = %(address)s, elapsed_ms = %(elapsed_ms)s
    WHERE attempt_id = %(attempt_id)s AND (outcome IS NULL OR outcome = 'unknown')
    RETURNING message_id
)
UPDATE notifier.messages m SET state = CASE WHEN m.state IN ('due', 'idle') THEN %(state)s ELSE m.state END,
    reason = %(detail)s, lease_id = NULL, lease_until = NULL, failures = 0
FROM ended WHERE m.message_id = ended.message_id
RETURNING m.message_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMessage:
    message_id: UUID
    takedown_id: UUID
    content_id: UUID
    recipient: str
    lease_id: UUID


MESSAGES = DueTable(
    "notifier.messages",
    key=("message_id",),
    place="d.recipient",
    waiting="d.state = 'due'",
    beside="notifier.takedowns t",
    on="t.takedown_id = d.takedown_id",
    # A takedown that has heard of the suspension is asked all the same: it refuses the message, which then waits for its word.
    allowed=f"(SELECT is_on FROM notifier.outbound) AND NOT {_HELD} AND (t.state = 'suspended' OR NOT {_STOPPED})",
    returning="d.takedown_id, t.content_id, d.recipient",
    job=lambda row: DueMessage(**row),
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attempt:
    """An attempt that was written down and is now made."""

    attempt_id: UUID
    demand_id: UUID
    kind: MessageKind
    number: int
    attempt: int
    started_at: datetime
    channel: directory.Channel
    endpoint: directory.WebhookEndpoint
    letter: RenderedMessage


class MessageWorker:
    """Sends what is due."""

    def __init__(self, applier: UnitOfWorkFactory) -> None:
        runtime = applier.runtime
        self._applier = applier
        self._runtime = runtime
        self._database = runtime.database
        self._mail_refused = False
        self.due = DueWorker(
            "messages",
            runtime.database,
            runtime.wakeups,
            MESSAGES,
            member=runtime.settings.member,
            channel=takedowns.MESSAGES_CHANNEL,
            slots=SLOTS,
            per_place=runtime.policy.connections_per_host,
            longest_seconds=runtime.policy.webhook_timeout_seconds,
            do=self._deliver_all,
            unwanted=self._unwanted,
            failed=self._failed,
            stopped_channels=(stops.CHANNEL,),
        )

    async def run(self) -> None:
        """Without a public URL no link in a demand would lead anywhere: nothing is sent."""
        settings = self._runtime.settings
        if settings.public_url is None:
            log.warning("outbound.no_public_url")
            await asyncio.Event().wait()
        if settings.organisation_contact.endswith("@localhost"):
            log.warning("outbound.no_contact")  # each demand names whom to ask: TAKEDOWN_ORGANISATION_CONTACT
        async with self._database.transaction() as tx:
            unreadable = await directory.sealed_otherwise(tx, self._runtime.keys)
            if unreadable:
                log.error("outbound.other_root_key", organisations=unreadable)
        await self.due.run()

    async def _unwanted(self, tx: Tx, sending: Collection[DueMessage]) -> Mapping[DueMessage, str]:
        """A connection can take seconds: what stops messages stops those under way too."""
        cursor = await tx.execute(_GO_ON, ([due.message_id for due in sending],))
        going_on = {row["message_id"] for row in await cursor.fetchall()}
        return {due: "stopped" for due in sending if due.message_id not in going_on}

    async def _failed(self, due: DueMessage, failures: int) -> None:
        await tell_of_failure(self._applier, due.content_id, due.takedown_id, "message", failures)

    async def _deliver_all(self, due: Sequence[DueMessage]) -> None:
        for one in due:
            await self.deliver(one)

    async def deliver(self, due: DueMessage) -> None:
        """One attempt, from the last look at whether it may be made to the takedown's decision."""
        async with self._applier.scope(due.content_id, exclusive=False, takedown_id=due.takedown_id) as scope:
            attempt = await self._begin(scope, due)
        if attempt is None:
            return
        attempted = await self._send(due, attempt)
        if attempted is not None:
            ATTEMPTS.labels(attempt.channel, attempted.outcome).inc()
            ATTEMPT_SECONDS.labels(attempt.channel).observe(attempted.elapsed_seconds)
            self._watch_mail_server(attempt.channel, attempted)
        for left in reversed(range(RECORD_TRIES)):
            try:
                await self._record(due, attempt, attempted)
                return
            except Transient:  # unrecorded, it would be sent once more
                if not left:
                    raise
                await asyncio.sleep(0.2)

    def _watch_mail_server(self, channel: directory.Channel, attempted: Attempted) -> None:
        """Our own mail server refuses what is ours: an alarm, since no recipient is to blame and no other one helps."""
        if channel != "email" or attempted.own_fault == self._mail_refused:
            return
        if attempted.own_fault:
            log.error("mail.server_refuses", reason=attempted.reason, status=attempted.status)
        elif attempted.outcome is AttemptOutcome.ACCEPTED:
            log.warning("mail.server_takes_again")
        else:  # refused for the recipient's sake: that says nothing about us
            return
        self._mail_refused = attempted.own_fault
        MAIL_SERVER_REFUSING.set(attempted.own_fault)

    async def _send(self, due: DueMessage, attempt: Attempt) -> Attempted | None:
        """None: it was broken off, since it may not be sent any more; whether it had left already is not known."""
        try:
            return await self.due.while_wanted(due, self._read_and_send(due, attempt))
        except NoLongerWanted:
            return None

    async def _read_and_send(self, due: DueMessage, attempt: Attempt) -> Attempted | None:
        """What stops it is read once more now that it counts as under way: later it is found here, and broken off."""
        if await self._database.read_one(_GO_ON, ([due.message_id],)) is None:
            return None
        return await send_rendered(
            self._runtime, attempt.channel, attempt.endpoint, attempt.letter, message_id=due.message_id
        )

    async def _begin(self, scope: UnitOfWork, due: DueMessage) -> Attempt | None:
        """The attempt's row, or why there is none: put back, settled, or refused."""
        takedown = await scope.load(due.takedown_id)
        row = await (await scope.tx.execute(_READ, (due.message_id, due.lease_id))).fetchone()
        if takedown is None or row is None:
            return None  # ended, or taken by another since
        kind = MessageKind(row["kind"])
        stopped = row["stopped"] and takedown.state is not TakedownState.SUSPENDED  # which refuses it below
        if not row["is_on"] or row["held"] or stopped:
            await MESSAGES.release(scope.tx, (due.message_id,), due.lease_id)
            return None
        if row["open_attempt"] is not None:
            unknown = AttemptCompleted(
                attempt_id=row["open_attempt"],
                message_id=due.message_id,
                demand_id=row["demand_id"],
                kind=kind,
                number=row["number"],
                attempt=row["open_number"],
                started_at=row["open_started"],
                outcome=AttemptEnded.UNKNOWN,
                detail="no_outcome",
            )
            await self._settle(scope, due, takedown, unknown, None)
            return None
        now, around = scope.now, await scope.surroundings(takedown)
        refusal = may_send(takedown, row["demand_id"], kind, now, self._runtime.policy, around)
        endpoint = await directory.endpoint_of(scope.tx, self._runtime.keys, due.recipient)
        recipient = around.routes.by_key(due.recipient)
        if refusal is None and (endpoint is None or recipient is None or recipient.channel is None):
            refusal = Refusal.NO_CHANNEL
        letter = None
        if refusal is None:
            letter = self._write(takedown, row, due)
            refusal = Refusal.ENDED if letter is None else None
        if refusal is not None:
            await self._refuse(scope, due, takedown, row["demand_id"], kind, row["number"], refusal)
            return None
        assert endpoint is not None
        assert recipient is not None
        assert recipient.channel is not None
        assert letter is not None
        attempt = Attempt(
            attempt_id=uuid4(),
            demand_id=row["demand_id"],
            kind=kind,
            number=row["number"],
            attempt=row["attempts"] + 1,
            started_at=now,
            channel=recipient.channel,
            endpoint=endpoint,
            letter=letter,
        )
        await self._start(scope.tx, due, attempt)
        return attempt

    def _write(self, takedown: Takedown, row: Row, due: DueMessage) -> RenderedMessage | None:
        return write_letter(
            takedown,
            demand_id=row["demand_id"],
            kind=MessageKind(row["kind"]),
            message_id=due.message_id,
            at=row["created_at"],
            settings=self._runtime.settings,
            policy=self._runtime.policy,
            token=self._runtime.keys.token_of(row["demand_id"]),
        )

    async def _start(self, tx: Tx, due: DueMessage, attempt: Attempt) -> None:
        digest = hashlib.sha256(attempt.letter.body).digest()
        await tx.execute(
            _START,
            {
                "attempt_id": attempt.attempt_id,
                "message_id": due.message_id,
                "takedown_id": due.takedown_id,
                "number": attempt.attempt,
                "channel": attempt.channel,
                "started_at": attempt.started_at,
                "body_sha256": digest,
            },
        )

    async def _refuse(
        self,
        scope: UnitOfWork,
        due: DueMessage,
        takedown: Takedown,
        demand_id: UUID,
        kind: MessageKind,
        number: int,
        refusal: Refusal,
    ) -> None:
        await scope.tx.execute(_REFUSE, (refusal, due.message_id))
        refused = OutboundRefused(
            message_id=due.message_id, demand_id=demand_id, kind=kind, number=number, refusal=refusal
        )
        await scope.apply(takedown, refused)

    async def _record(self, due: DueMessage, attempt: Attempt, attempted: Attempted | None) -> None:
        completed = AttemptCompleted(
            attempt_id=attempt.attempt_id,
            message_id=due.message_id,
            demand_id=attempt.demand_id,
            kind=attempt.kind,
            number=attempt.number,
            attempt=attempt.attempt,
            started_at=attempt.started_at,
            outcome=AttemptEnded.UNKNOWN if attempted is None else AttemptEnded(attempted.outcome),
            retry_after_seconds=None if attempted is None else attempted.retry_after_seconds,
            detail=_detail(attempted),
            own_fault=attempted is not None and attempted.own_fault,
        )
        async with self._applier.scope(due.content_id, exclusive=False, takedown_id=due.takedown_id) as scope:
            takedown = await scope.load(due.takedown_id)
            assert takedown is not None
            if attempted is not None and attempted.endpoint_gone and attempt.endpoint.webhook_url is not None:
                await directory.mark_endpoint_gone(scope.tx, due.recipient, attempt.endpoint.webhook_url)
            await self._settle(scope, due, takedown, completed, attempted)

    async def _settle(
        self,
        scope: UnitOfWork,
        due: DueMessage,
        takedown: Takedown,
        completed: AttemptCompleted,
        attempted: Attempted | None,
    ) -> None:
        """The end of an attempt: its row, the message's, and the takedown's decision. One that has ended already stays so."""
        state = {AttemptEnded.ACCEPTED: "accepted", AttemptEnded.PERMANENT: "failed"}.get(completed.outcome, "idle")
        cursor = await scope.tx.execute(
            _END,
            {
                "attempt_id": completed.attempt_id,
                "state": state,
                "outcome": completed.outcome,
                "detail": completed.detail,
                "status": attempted and attempted.status,
                "address": attempted and takedown.target and attempted.address,
                "elapsed_ms": attempted and int(attempted.elapsed_seconds * 1000),
            },
        )
        if await cursor.fetchone() is not None:
            await scope.apply(takedown, completed)


def _detail(attempted: Attempted | None) -> str:
    if attempted is None:
        return "broken_off"
    if attempted.own_fault:
        return attempted.reason
    return str(attempted.status) if attempted.status is not None else attempted.reason
