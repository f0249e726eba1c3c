"""Works off due messages: claims one, asks whether it may still be sent, records the attempt, sends it, and decides on the takedown by what
became of it.

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

from services.notifier.application.failing_jobs import report_failure
from services.notifier.application.unit_of_work import UnitOfWork, UnitOfWorkFactory
from services.notifier.channels.dispatch import send_rendered
from services.notifier.channels.result import Attempted, AttemptOutcome
from services.notifier.directory import store as directory
from services.notifier.domain.events import AttemptCompleted, AttemptEnded, OutboundRefused, Refusal
from services.notifier.domain.model import MessageKind, Takedown, TakedownState
from services.notifier.domain.takedown import may_send
from services.notifier.notices.render import RenderedMessage, write_letter
from services.notifier.store import messages, takedowns
from services.notifier.store.messages import MESSAGES, AttemptEnd, DueMessage, NewAttempt
from shared.access import stops
from shared.db.due_worker import DueWorker, NoLongerWanted
from shared.db.pool import Row, Tx
from shared.errors import Transient
from shared.process.metrics import ATTEMPT_SECONDS, ATTEMPTS, MAIL_SERVER_REFUSING

log = structlog.get_logger(__name__)

SLOTS = 64
RECORD_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attempt:
    """An attempt that was recorded and is about to be made."""

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
    """Sends the messages that are due."""

    def __init__(self, units_of_work: UnitOfWorkFactory) -> None:
        runtime = units_of_work.runtime
        self._units_of_work = units_of_work
        self._runtime = runtime
        self._database = runtime.database
        self._mail_refused = False
        self.due = DueWorker(
            "messages",
            runtime.database,
            runtime.wakeups,
            MESSAGES,
            member=runtime.settings.member,
            wakeup=takedowns.MESSAGES_WAKEUP,
            slots=SLOTS,
            per_place=runtime.policy.connections_per_host,
            longest_seconds=runtime.policy.webhook_timeout_seconds,
            do=self._deliver_all,
            unwanted=self._unwanted,
            failed=self._failed,
            stop_wakeups=(stops.WAKEUP,),
        )

    async def run(self) -> None:
        """Work until cancelled. Nothing is sent without a public URL, since no link in a demand would lead anywhere."""
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
        """Which attempts under way are not wanted any more: a connection can take seconds, and what stops messages stops those too."""
        going_on = await messages.that_go_on(tx, [due.message_id for due in sending])
        return {due: "stopped" for due in sending if due.message_id not in going_on}

    async def _failed(self, due: DueMessage, failures: int) -> None:
        await report_failure(self._units_of_work, due.content_id, due.takedown_id, "message", failures)

    async def _deliver_all(self, due: Sequence[DueMessage]) -> None:
        for one in due:
            await self.deliver(one)

    async def deliver(self, due: DueMessage) -> None:
        """One attempt, from the last look at whether it may be made to the takedown's decision."""
        async with self._units_of_work.begin(due.content_id, exclusive=False, takedown_id=due.takedown_id) as unit:
            attempt = await self._begin(unit, due)
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
        """Raise an alarm when our own mail server refuses our mail: no recipient is to blame, and to ask another one does not help."""
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
        if await self._database.read_one(messages.GO_ON, ([due.message_id],)) is None:
            return None
        return await send_rendered(
            self._runtime, attempt.channel, attempt.endpoint, attempt.letter, message_id=due.message_id
        )

    async def _begin(self, unit: UnitOfWork, due: DueMessage) -> Attempt | None:
        """Record the attempt, or give the reason why there is none: the row was put back, settled or refused."""
        takedown = await unit.load(due.takedown_id)
        row = await messages.read_due(unit.tx, due)
        if takedown is None or row is None:
            return None  # ended, or taken by another since
        kind = MessageKind(row["kind"])
        stopped = row["stopped"] and takedown.state is not TakedownState.SUSPENDED  # which refuses it below
        if not row["is_on"] or row["held"] or stopped:
            await MESSAGES.release(unit.tx, (due.message_id,), due.lease_id)
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
            await self._settle(unit, due, takedown, unknown, None)
            return None
        now, around = unit.now, await unit.surroundings(takedown)
        refusal = may_send(takedown, row["demand_id"], kind, now, self._runtime.policy, around)
        endpoint = await directory.endpoint_of(unit.tx, self._runtime.keys, due.recipient)
        recipient = around.routes.by_key(due.recipient)
        if refusal is None and (endpoint is None or recipient is None or recipient.channel is None):
            refusal = Refusal.NO_CHANNEL
        letter = None
        if refusal is None:
            letter = self._write(takedown, row, due)
            refusal = Refusal.ENDED if letter is None else None
        if refusal is not None:
            await self._refuse(unit, due, takedown, row["demand_id"], kind, row["number"], refusal)
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
        await self._start(unit.tx, due, attempt)
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
        new = NewAttempt(
            attempt_id=attempt.attempt_id,
            number=attempt.attempt,
            channel=attempt.channel,
            started_at=attempt.started_at,
            body_sha256=digest,
        )
        await messages.start_attempt(tx, due, new)

    async def _refuse(
        self,
        unit: UnitOfWork,
        due: DueMessage,
        takedown: Takedown,
        demand_id: UUID,
        kind: MessageKind,
        number: int,
        refusal: Refusal,
    ) -> None:
        await messages.refuse(unit.tx, due.message_id, refusal)
        refused = OutboundRefused(
            message_id=due.message_id, demand_id=demand_id, kind=kind, number=number, refusal=refusal
        )
        await unit.apply(takedown, refused)

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
        async with self._units_of_work.begin(due.content_id, exclusive=False, takedown_id=due.takedown_id) as unit:
            takedown = await unit.load(due.takedown_id)
            assert takedown is not None
            if attempted is not None and attempted.endpoint_gone and attempt.endpoint.webhook_url is not None:
                await directory.mark_endpoint_gone(unit.tx, due.recipient, attempt.endpoint.webhook_url)
            await self._settle(unit, due, takedown, completed, attempted)

    async def _settle(
        self,
        unit: UnitOfWork,
        due: DueMessage,
        takedown: Takedown,
        completed: AttemptCompleted,
        attempted: Attempted | None,
    ) -> None:
        """Record the end of an attempt in its row and the message's, and decide on the takedown. An attempt that has ended already stays as
        it is."""
        state = {AttemptEnded.ACCEPTED: "accepted", AttemptEnded.PERMANENT: "failed"}.get(completed.outcome, "idle")
        ended = AttemptEnd(
            attempt_id=completed.attempt_id,
            message_state=state,
            outcome=completed.outcome,
            detail=completed.detail,
            status=None if attempted is None else attempted.status,
            address=None if attempted is None or takedown.target is None else attempted.address,
            elapsed_ms=None if attempted is None else int(attempted.elapsed_seconds * 1000),
        )
        if await messages.end_attempt(unit.tx, ended):
            await unit.apply(takedown, completed)


def _detail(attempted: Attempted | None) -> str:
    if attempted is None:
        return "broken_off"
    if attempted.own_fault:
        return attempted.reason
    return str(attempted.status) if attempted.status is not None else attempted.reason
