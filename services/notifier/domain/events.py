"""What can happen to a takedown, and what else is true at that moment. The events say what happened; `DecisionContext` says what the tables
have then (content, claims' terms, directory), read in the same transaction, so that every decision is made on the present state and
`decide` stays pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from services.notifier.domain.ladder import Routes
from services.notifier.domain.model import (
    MatchFacts,
    MessageKind,
    Observed,
    Outcome,
    PersonLook,
    Rejection,
    Target,
    TaskKind,
)
from services.notifier.domain.model import Refusal as Refusal
from shared.contracts.content import Algorithm, Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentView:
    """The notifier's row of the content. `state` None: not heard of yet (a match can overtake its content).

    `state` is the effective one: a suspension decided here counts before intake has applied it. `withdrawn_for` is
    `subject_request`, `not_ncii`, `wrong_content`, …. `new_demands_held`: a person said that no demand goes out that was not issued
    yet. `fetching_stopped`: it may depict a minor, and nothing of it is looked at until a person has decided.
    """

    state: ContentState | None = None
    suspended_for: str | None = None
    withdrawn_for: str | None = None
    new_demands_held: bool = False
    fetching_stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a demand may rest on, over the content's live claims: the union of domains, the latest moment, the union; the rest is
    so where it is so of one of them.

    `authority_recorded`: a person depicted has given authority to act, and it is on record. `two_confirmed`: two people have
    looked at the content and confirmed it. `evidence_wanted`: hosts are asked to preserve what they disable.
    """

    do_not_contact: tuple[str, ...] = ()
    demands_not_before: datetime | None = None
    subject_jurisdictions: tuple[str, ...] = ()
    authority_recorded: bool = False
    two_confirmed: bool = False
    evidence_wanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who we are, as a demand states it. `reviewed_by`: who reviewed the regimes' texts (a setting), None: nobody."""

    name: str
    contact: str
    reviewed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionContext:
    """What else is true when an event is decided on. `terms` None: no confirmed claim is known yet. `rejected`: (content, `fingerprint_ref`
    of the event's match) was rejected by a person. `demand_limit_reached`: so many first demands went to this host for this content within
    an hour, and no person has looked; `key_limit_reached`: so many rested on the word of the API key that this takedown rests on. `jitter`
    is a fresh random fraction in [0, 1). `attempt_under_way`: a message about the takedown may have left of which nobody knows yet; asked
    for a match alone."""

    content: ContentView
    terms: Terms | None
    routes: Routes
    sender: Requester
    rejected: bool = False
    demand_limit_reached: bool = False
    key_limit_reached: bool = False
    jitter: float = 0.5
    attempt_under_way: bool = False


class AttemptEnded(StrEnum):
    """How an attempt ended, as `decide` takes it."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    """410, a disabled endpoint, an SMTP 5xx: this recipient cannot be reached this way."""
    UNKNOWN = "unknown"
    """The lease ended without an outcome: sent again with the same id."""


class AnswerKind(StrEnum):
    """What kind of answer a recipient gave."""

    ACKNOWLEDGEMENT = "acknowledgement"
    REMOVAL = "removal"
    RESPONSE = "response"


class ResponseReason(StrEnum):
    """Why a recipient does not act on a demand."""

    WRONG_RECIPIENT = "wrong_recipient"
    NOT_HOSTED_HERE = "not_hosted_here"
    ALREADY_REMOVED = "already_removed"
    INSUFFICIENT_INFORMATION = "insufficient_information"
    NOT_AUTHORISED = "not_authorised"
    NOT_NCII = "not_ncii"
    CONSENT_CLAIMED = "consent_claimed"
    POSSIBLE_MINOR = "possible_minor"
    LEGAL = "legal"


class RemovalMethod(StrEnum):
    """How a recipient says that it removed the content."""

    DELETED = "deleted"
    DISABLED = "disabled"
    GEOBLOCKED = "geoblocked"
    BY_UPLOADER = "by_uploader"


class TimerKind(StrEnum):
    """What a timer of a demand is for."""

    REMINDER = "reminder"
    DEADLINE = "deadline"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchReceived:
    """The matcher found that a sighting agrees with the content."""

    match: MatchFacts
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentUpdated:
    """The content's row changed (known, active, suspended, withdrawn, dispute lifted): see `DecisionContext.content`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsChanged:
    """The claims' terms changed: see `DecisionContext.terms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryChanged:
    """The directory's entries for this target changed: see `DecisionContext.routes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCompleted:
    """A check ended. `outcome` is the media's alone, `page_outcome` the page's when one is known: `present` (it still shows agreeing
    media), `gone`, `mismatch` (it answers without agreeing media), `blocked`, `inconclusive`.

    `outcome` is the media's alone, `page_outcome` the page's when one is known: `present` (it still shows agreeing media),
    `gone`, `mismatch` (it answers without agreeing media), `blocked`, `inconclusive`. `distance`, `algorithm`, `assurance`, `guards`
    are of the best agreement and its register entry. `reason` and `page_reason` are words (`site_says_missing`, `login`, `timed_out`, …),
    never a URL.

    `probably_present`: nothing agrees, and something is so near (`distance` at the medium's URL, `page_distance` on the page, 32 to 50
    bits) that it may be the content; the outcome is `inconclusive`. `view`: how the part of the picture was found that agrees or is near
    (a word of `shared.media.views.view.ViewName`); None: the picture as a whole is. `whole_distance`: then how far that is.
    `no_such_domain`, `page_no_such_domain`: the name servers answered
    with authority that this host does not exist (RFC 8499, NXDOMAIN); no time-out, refusal or failure of theirs.

    `browser`: what became of a browser's looks, a word each; None: none was to be made.
    """

    check_id: UUID
    started_at: datetime
    outcome: Outcome
    vantage: str
    reason: str | None = None
    status: int | None = None
    no_such_domain: bool = False
    probably_present: bool = False
    algorithm: Algorithm | None = None
    distance: int | None = None
    assurance: Assurance | None = None
    guards: tuple[Guard, ...] = ()
    view: str | None = None
    whole_distance: int | None = None
    page_outcome: Outcome | None = None
    page_status: int | None = None
    page_reason: str | None = None
    page_no_such_domain: bool = False
    page_distance: int | None = None
    browser: str | None = None
    observed: Observed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCompleted:
    """An attempt at a message ended. `attempt` counts from 1 within the message. `detail` is a word (`410`, `disabled`, …). Afterwards the
    message is parked (not due), until an effect (`SendMessage`) names it again.

    Afterwards the message is parked (not due), until an effect (`SendMessage`) names it again.
    """

    attempt_id: UUID
    message_id: UUID
    demand_id: UUID
    kind: MessageKind
    number: int
    attempt: int
    started_at: datetime
    outcome: AttemptEnded
    retry_after_seconds: float | None = None
    detail: str | None = None
    own_fault: bool = False
    """What failed is ours (our mail server), not the recipient's: it is tried on, and nobody else is asked because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundRefused:
    """A due message was not attempted, as `may_send` said. The row is parked until an effect names it again."""

    message_id: UUID
    demand_id: UUID
    kind: MessageKind
    number: int
    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAnswered:
    """A recipient's answer to a demand, by its token. `reason` with `response` alone, `method` with `removal` alone."""

    answer_id: UUID
    demand_id: UUID
    kind: AnswerKind
    reason: ResponseReason | None = None
    method: RemovalMethod | None = None
    suggests_recipient: bool = False
    """The host names somebody else: a person looks, nothing is sent there by itself."""
    settled_before: bool = False
    """A person has decided since this recipient first said this of the content: the same word undoes no decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A timer of a demand is due. `number`: which reminder it is (1, 2, …)."""

    kind: TimerKind
    demand_id: UUID
    number: int
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade:
    """A person decided. `task_kind` is the task it resolves, `recipient` the directory key of a `reroute`, `demand_id` that of
    a `bounced`. `rejection`: for `unreject`, who rejected the same picture, where the takedown itself was never decided on.
    `look`: of a `looked`."""

    decision_id: UUID
    kind: DecisionKind
    person_id: str
    task_kind: TaskKind | None = None
    demand_id: UUID | None = None
    recipient: str | None = None
    rejection: Rejection | None = None
    look: PersonLook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodHeld:
    """The flood guard found too many hosts in an hour for one content at a distance over 10: this takedown is to be held."""

    hosts: int = field(default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed:
    """A check of this takedown, or an attempt at one of its messages, has failed again and again in an unforeseen way."""

    job: Literal["check", "message"]


Event = (
    MatchReceived
    | ContentUpdated
    | TermsChanged
    | DirectoryChanged
    | CheckCompleted
    | AttemptCompleted
    | OutboundRefused
    | HostAnswered
    | TimerFired
    | DecisionMade
    | FloodHeld
    | JobFailed
)
