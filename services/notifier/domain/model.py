"""What is kept of a takedown, its demands and our looks. The words (states, kinds, reasons) are in `states.py`.

Frozen values; the store keeps them as versioned JSON. Waits and deadlines are aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.notifier.domain.states import DemandState as DemandState
from services.notifier.domain.states import HoldReason as HoldReason
from services.notifier.domain.states import MessageKind as MessageKind
from services.notifier.domain.states import Outcome as Outcome
from services.notifier.domain.states import Refusal as Refusal
from services.notifier.domain.states import RetractionReason as RetractionReason
from services.notifier.domain.states import Rung as Rung
from services.notifier.domain.states import TakedownState as TakedownState
from services.notifier.domain.states import TaskKind as TaskKind
from services.notifier.domain.states import TaskScope as TaskScope
from shared.contracts.content import Algorithm, Assurance
from shared.contracts.matches import Guard, TargetKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the content was found. `host` and `page_host` are lower-case ASCII. Erased as one."""

    kind: TargetKind
    url: str
    url_key: str
    key_version: int
    host: str
    page_url: str | None = None
    page_host: str | None = None
    seen_at: datetime | None = None
    """When it was seen at `url`; None: as the takedown's match says."""


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
    reported_by: str | None = None
    """Stands for the API key that the sighting or report came by. None: not known, or erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen at the target, and whether by our own check or by a person: the facts a demand quotes. `ip`, `port` are the
    address dialled. `as_part`: what is at the address is a larger picture, and a part of it was recognised."""

    at: datetime
    ip: str | None = None
    port: int | None = None
    final_url: str | None = None
    status: int | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    seen_by: Literal["check", "person"] = "check"
    as_part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedTerms:
    """What a demand says of its law, its time, its claims and what was seen: fixed by its first attempt, made anew until then.

    `respond_within_seconds` (a law's) and `requested_by` (ours) are what is printed, never scaled. `observed` is erased with the
    target.
    """

    issued_at: datetime
    regime: str
    regime_version: str
    respond_within_seconds: int | None = None
    requested_by: datetime | None = None
    observed: Observed | None = None
    authority: bool = False
    """It is made for a person depicted, whose authority is on record."""
    two_confirmed: bool = False
    evidence_wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The first accepted delivery and the clock that it started. `attempt_id` is its proof; None: an answer proved it.

    `deadline` is the moment we wait for (scaled); None: all was settled when it arrived.
    """

    at: datetime
    attempt_id: UUID | None = None
    deadline: datetime | None = None
    reminders: int = 0
    """The number of the last reminder made."""
    reminder_wanted: int | None = None
    """A reminder that waits for a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalReports:
    """The host's reports that it is removed. `at`: only a look begun later can call that false; None: the last one was."""

    at: datetime | None
    false: int = 0
    """How often our check saw it present after such a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraction:
    """The words with which a demand is taken back. An error found later has a message of its own, `number` one higher."""

    words: RetractionReason
    number: int = 0
    not_before: datetime | None = None
    """Until then a person may take back what it would say."""
    undone: bool = False
    """The rejection that it is about was undone: it is not sent any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One removal demand to one recipient in one round. What came of it exists once it came: `delivery`, `removal_reports`,
    `retraction`."""

    demand_id: UUID
    rung: Rung
    recipient: str
    recipient_domain: str
    country: str | None = None
    """The recipient's, ISO 3166-1 alpha-2, as the directory had it when the demand was made."""
    round: int
    state: DemandState
    kind: MessageKind
    """What its first message is: `demand.issued` or `demand.reappeared`."""
    printed: PrintedTerms
    attempted_at: datetime | None = None
    """The first attempt's start; None while none was made."""
    give_up_at: datetime | None = None
    """When an undelivered demand is escalated."""
    parked: bool = False
    """Its first message was refused before an attempt and waits for a check."""
    delivery: Delivery | None = None
    escalated: bool = False
    """The next rung was asked because of this one's silence or refusal; it stays answerable."""
    waits: bool = False
    """Its recipient disputes the content: it is not reminded until a person has settled that."""
    removal_reports: RemovalReports | None = None
    retraction: Retraction | None = None
    do_not_contact: bool = False
    """A claim said, when the target was erased, not to contact its recipient: nothing that is kept could say so later."""
    refusal: str | None = None
    """Why it was refused, or why it could not be delivered: a word."""

    @property
    def deadline(self) -> datetime | None:
        """When its clock runs out; None while none runs."""
        return None if self.delivery is None else self.delivery.deadline

    @property
    def may_be_known(self) -> bool:
        """Whether the recipient (perhaps) knows of the demand."""
        return self.delivery is not None or self.attempted_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTask:
    """A task of this takedown that is open."""

    task_id: UUID
    kind: TaskKind
    scope: TaskScope = "takedown"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCheck:
    """The one check to come. `asked_at`: a check begun before does not answer it."""

    at: datetime
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCheck:
    """Our last look, begun at `at`. Each `since` is the start of the first of a row of looks that said the same, up to this one."""

    at: datetime
    outcome: Outcome
    silent_since: datetime | None = None
    """Since when our looks say nothing: blocked or inconclusive. None: this one said something, or a person has looked."""
    no_such_domain_since: datetime | None = None
    """Since when the name servers say that there is no such host, and a page that is known is clear or as dead."""
    probably_present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """When our own check last saw the content (or two people vouch for it), whether rule 4 lets a demand rest on it, and the facts that a
    demand quotes."""

    at: datetime
    surely: bool = True
    observed: Observed | None = None

    @property
    def by_people(self) -> bool:
        """People saw it, and no look of ours since."""
        return self.observed is not None and self.observed.seen_by == "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """Since when, and how often, a first look was tried in vain: patience counts from here. Exists until the content was seen."""

    since: datetime
    checks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneObservation:
    """Seen gone once: exists while `verifying`. `seen_in` is the state to return to if it is seen again.

    `since` None: a later look found what is nearly the content, so that two more have to see it gone.
    """

    since: datetime | None
    reason: str
    seen_in: TakedownState


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedRemoval:
    """Exists while `removed`. `reason`: `gone`, `replaced`, `not_found`, `site_dead`, `seen_gone` (by people);
    `watches` counts the looks after it."""

    at: datetime
    reason: str
    watches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Exists while `suspended`: by whom, and which state is resumed with the last of them."""

    by: tuple[Literal["content", "person"], ...]
    resume_to: TakedownState


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLook:
    """What a person saw at the target: the content, or that it is gone. `how` is a word."""

    person_id: str
    seen_at: datetime
    present: bool
    how: str
    outdated: bool = False
    """It was before a look of ours that saw the content gone: no demand rests on it."""
    others: tuple[str, ...] = ()
    """Who else said that it is there, while the same task waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Who rejected, and when; `confirmed`: a second person did, too."""

    person_id: str
    at: datetime
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """Who is to be asked next. `wanted`: the next rung not yet asked in this round, after a check that sees the content."""

    wanted: bool = False
    named: str | None = None
    """The recipient that a person named to be asked next."""
    postures_cleared: tuple[str, ...] = ()
    """Recipients of unknown posture that a person chose to ask."""
    skipped: tuple[str, ...] = ()
    """Recipients that a person chose to pass over in this round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """What people released: holds, and whether what we fetched became the reference."""

    holds: tuple[HoldReason, ...] = ()
    reference_adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Takedown:
    """The effort to remove one content from one target. The only state `decide` keeps.

    What means something in some states alone exists in them alone; while suspended, in those of the state to resume. `target` is
    None once erased. `sequence` is the number of the last lifecycle entry.
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

    next_check: NextCheck | None = None
    last_check: LastCheck | None = None
    last_seen: LastSeen | None = None
    first_look: FirstLook | None = None
    gone: GoneObservation | None = None
    removal: ConfirmedRemoval | None = None
    climb: Climb = Climb()
    held_for: HoldReason | None = None
    releases: Releases = Releases()
    suspension: Suspension | None = None
    seen_by_person: PersonLook | None = None
    """A person saw it there; it waits for another's release."""
    gone_by_person_at: datetime | None = None
    """When a person saw it gone, since when nobody and no look of ours has seen it: the first of two."""
    gone_by_person_received_at: datetime | None = None
    """When that was said. None beside a moment: it was not kept (before this field)."""
    resumed_at: datetime | None = None
    """The end of the last suspension: a look begun before it does not count."""
    retraction: RetractionReason | None = None
    """With which words it ended; exists in the states that end it."""
    rejection: Rejection | None = None
    """Exists while `rejected`, if a person said so of this takedown or of the same picture at another one."""

    @property
    def lasting_state(self) -> TakedownState:
        """The state, or while suspended the one to resume."""
        return self.state if self.suspension is None else self.suspension.resume_to

    def demand(self, demand_id: UUID) -> Demand | None:
        """The demand of this id, of any round."""
        return next((one for one in self.demands if one.demand_id == demand_id), None)

    def task(self, kind: TaskKind) -> OpenedTask | None:
        """The open task of this kind."""
        return next((one for one in self.tasks if one.kind == kind), None)
