"""The words a takedown is kept in: its states, its demands, and which state may follow which.

Frozen values; the store keeps them as JSON (`to_json`, `from_json`). Waits and deadlines are aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import TypeAdapter

from shared.contracts.content import Algorithm, Assurance
from shared.contracts.matches import Guard, TargetKind


class TakedownState(StrEnum):
    DISCOVERED = "discovered"
    """Matched; our own check has not seen it yet."""
    HELD = "held"
    """A person has to say whether it goes on."""
    OPEN = "open"
    """Seen by our own check; demands are made."""
    VERIFYING = "verifying"
    """Seen gone once; a second look decides."""
    REMOVED = "removed"
    """Confirmed by our own checks; watched from now on."""
    REAPPEARED = "reappeared"
    """Back after a confirmed removal; a new round of demands."""
    UNREMOVED = "unremoved"
    """Everybody on the ladder was asked; still checked."""
    REJECTED = "rejected"
    """A person says that the match is wrong."""
    SUSPENDED = "suspended"
    """Nothing is fetched, checked or sent until it is resumed."""
    WITHDRAWN = "withdrawn"
    """The content is no longer pursued; its target is erased."""
    DISMISSED = "dismissed"
    """A person ended it for another reason."""


class DemandState(StrEnum):
    DUE = "due"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    ACKNOWLEDGED = "acknowledged"
    REPORTED_REMOVED = "reported_removed"
    DISPUTED = "disputed"
    REFUSED = "refused"
    EXPIRED = "expired"
    RETRACTED = "retracted"
    CLOSED = "closed"


class Rung(StrEnum):
    """The recipients, in the order they are asked. The first two are used today."""

    SITE_OPERATOR = "site_operator"
    HOSTING_PROVIDER = "hosting_provider"
    CDN = "cdn"
    REGISTRAR = "registrar"
    SEARCH_ENGINE = "search_engine"
    REGULATOR = "regulator"


class Outcome(StrEnum):
    """What a check saw."""

    PRESENT = "present"
    GONE = "gone"
    MISMATCH = "mismatch"
    BLOCKED = "blocked"
    INCONCLUSIVE = "inconclusive"


class MessageKind(StrEnum):
    ISSUED = "demand.issued"
    REMINDED = "demand.reminded"
    STILL_PRESENT = "demand.still_present"
    REAPPEARED = "demand.reappeared"
    RETRACTED = "demand.retracted"
    CLOSED = "demand.closed"
    HOST_TEST = "host.test"


class TaskKind(StrEnum):
    FIRST_CHECK = "first_check"
    LOW_ASSURANCE = "low_assurance"
    UNKNOWN_HOST = "unknown_host"
    UNKNOWN_POSTURE = "unknown_posture"
    DISPUTE = "dispute"
    POSSIBLE_MINOR = "possible_minor"
    FLOOD = "flood"
    UNDELIVERABLE = "undeliverable"
    LADDER_EXHAUSTED = "ladder_exhausted"
    SUGGESTED_RECIPIENT = "suggested_recipient"


class HoldReason(StrEnum):
    """Why a takedown is `held`."""

    FIRST_CHECK = "first_check"
    LOW_ASSURANCE = "low_assurance"
    FLOOD = "flood"
    DISPUTE = "dispute"
    ASSERTED = "asserted"
    REJECTED_BEFORE = "rejected_before"


class Refusal(StrEnum):
    """Why a message was not attempted. `outbound off` and a hold per host are none: the row just stays due."""

    SUSPENDED = "suspended"
    ENDED = "ended"
    """The takedown or the demand no longer wants this message."""
    TERMS_UNKNOWN = "terms_unknown"
    """No confirmed claim is known: nobody knows whom not to contact."""
    DO_NOT_CONTACT = "do_not_contact"
    HOSTILE = "hostile"
    UNKNOWN_POSTURE = "unknown_posture"
    UNKNOWN_RECIPIENT = "unknown_recipient"
    NO_CHANNEL = "no_channel"
    NOT_BEFORE = "not_before"
    DISPUTED = "disputed"
    STALE_OBSERVATION = "stale_observation"


class RetractionReason(StrEnum):
    """Which words a `demand.retracted` uses."""

    NO_FURTHER_ACTION = "no_further_action"
    """The subject asked us to stop: nothing is said about consent or lawfulness."""
    SENT_IN_ERROR = "sent_in_error"
    """Please restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where it is. `host` and `page_host` are lower-case ASCII. Erased as one."""

    kind: TargetKind
    url: str
    url_key: str
    key_version: int
    host: str
    page_url: str | None = None
    page_host: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchFacts:
    """What agreed, without the URL. `distance` in bits, 0 for exact algorithms, None for `basis` person."""

    basis: Literal["fingerprint", "person"]
    seen_at: datetime
    observed_by: str
    assurance: Assurance
    algorithm: Algorithm | None = None
    distance: int | None = None
    orientation: str | None = None
    quality: int | None = None
    fingerprint_ref: str | None = None
    guards: tuple[Guard, ...] = ()
    asserted_by: str | None = None
    sighting_id: UUID | None = None
    report_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What our own check saw at the target: the facts a demand quotes. `ip`, `port` are the address dialled."""

    at: datetime
    ip: str | None = None
    port: int | None = None
    final_url: str | None = None
    status: int | None = None
    content_type: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One removal demand to one recipient in one round.

    `issued_at` is printed in it. Its clock starts at `delivered_at`, the first accepted delivery, whose proof is the attempt
    `delivered_by`. `deadline` is the moment we wait for (scaled); `respond_within_seconds` and `requested_by` are what is
    printed (never scaled). `parked`: its first message was refused before an attempt and waits for a check.
    """

    demand_id: UUID
    rung: Rung
    recipient: str
    recipient_domain: str
    country: str | None = None
    """The recipient's, ISO 3166-1 alpha-2, as the directory had it when the demand was made."""
    round: int
    state: DemandState
    regime: str
    regime_version: str
    kind: MessageKind
    """What its first message is: `demand.issued` or `demand.reappeared`."""
    issued_at: datetime
    respond_within_seconds: int | None = None
    requested_by: datetime | None = None
    observed: Observed | None = None
    attempted_at: datetime | None = None
    """The first attempt's start; None while none was made."""
    give_up_at: datetime | None = None
    """When an undelivered demand is escalated."""
    delivered_at: datetime | None = None
    delivered_by: UUID | None = None
    deadline: datetime | None = None
    escalated: bool = False
    """The next rung was asked because of this one's silence or refusal; it stays answerable."""
    parked: bool = False
    reminders: int = 0
    reminder_wanted: int | None = None
    false_reports: int = 0
    """How often the host reported a removal and our check saw it present."""
    reported_at: datetime | None = None
    """When the host last reported a removal: only a check begun later can call that false."""
    retraction: RetractionReason | None = None
    """With which words it is taken back; told milder ones first, its recipient hears of an error in a message of its own."""
    retractions: int = 0
    """How many such messages there are."""
    do_not_contact: bool = False
    """A claim said, when the target was erased, not to contact its recipient: nothing that is kept could say so later."""
    refusal: str | None = None
    """Why it was refused, or why it could not be delivered: a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTask:
    task_id: UUID
    kind: TaskKind
    scope: Literal["takedown", "content"] = "takedown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """The effort to remove one content from one target. The only state `decide` keeps.

    `target` is None once erased. `check_due_at` is the one check to come (None: no check is to be made). `sequence` is the
    number of the last lifecycle entry.
    """

    takedown_id: UUID
    content_id: UUID
    target_kind: TargetKind
    target: Target | None
    match: MatchFacts
    state: TakedownState = TakedownState.DISCOVERED
    created_at: datetime
    changed_at: datetime
    sequence: int = 0
    round: int = 1
    demands: tuple[Demand, ...] = ()
    tasks: tuple[OpenedTask, ...] = ()
    tasks_opened: int = 0

    # Checks
    check_due_at: datetime | None = None
    check_asked_at: datetime | None = None
    """When the due check was asked for: an earlier check that ends later does not answer it."""
    checked_at: datetime | None = None
    last_outcome: Outcome | None = None
    first_check_since: datetime | None = None
    """Since when the first look is tried (patience counts from here)."""
    first_checks: int = 0
    present_at: datetime | None = None
    """When our own check last saw the content at the target."""
    present_surely: bool = True
    """Whether rule 4 lets a demand rest on that look."""
    observed: Observed | None = None
    gone_since: datetime | None = None
    gone_reason: str | None = None
    verifying_from: TakedownState | None = None
    unanswered_since: datetime | None = None
    """Since when nothing answers at all (no such domain, no connection)."""
    removed_at: datetime | None = None
    removed_for: str | None = None
    """`gone`, `replaced`, `not_found`, `site_dead`."""
    watches: int = 0

    # Ladder
    wants_demand: bool = False
    """The next rung not yet asked in this round is to be asked, after a check that sees the content."""
    reroute_to: str | None = None
    postures_cleared: tuple[str, ...] = ()
    """Recipients of unknown posture that a person chose to ask."""
    skipped: tuple[str, ...] = ()
    """Recipients that a person chose to pass over in this round."""

    # Holds and suspension
    held_for: HoldReason | None = None
    cleared: tuple[HoldReason, ...] = ()
    """Holds that a person released."""
    reference_adopted: bool = False
    suspended_by: tuple[Literal["content", "person"], ...] = ()
    resume_to: TakedownState | None = None
    resumed_at: datetime | None = None
    retraction: RetractionReason | None = None

    def demand(self, demand_id: UUID) -> Demand | None:
        """The demand of this id, of any round."""
        return next((one for one in self.demands if one.demand_id == demand_id), None)

    def task(self, kind: TaskKind) -> OpenedTask | None:
        """The open task of this kind."""
        return next((one for one in self.tasks if one.kind == kind), None)


_TAKEDOWN = TypeAdapter(Takedown)


def to_json(takedown: Takedown) -> bytes:
    """The takedown as JSON, UTF-8."""
    return _TAKEDOWN.dump_json(takedown)


def from_json(data: bytes | str) -> Takedown:
    """The takedown in this JSON. Raises pydantic's ValidationError."""
    return _TAKEDOWN.validate_json(data)
