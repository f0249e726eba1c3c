"""Claims and content: the decisions, as pure code. What a content is follows from its claims and the reason for its suspension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from shared.contracts.claims import ClaimState, WithdrawalReason
from shared.contracts.content import Algorithm, Assurance, ContentState, RegisteredFingerprint, stronger, weaker
from shared.errors import Permanent


class SuspensionReason(StrEnum):
    """Why somebody suspended a content. It outlives every change of the claims until somebody resumes the content."""

    PERSON = "person"
    KEY = "key"
    POSSIBLE_MINOR = "possible_minor"

    @classmethod
    def of_decision(cls, reason: str) -> SuspensionReason:
        """What a person's decision suspends for: a minor in the picture, or else that person's word."""
        return cls.POSSIBLE_MINOR if reason == cls.POSSIBLE_MINOR else cls.PERSON


WITHDRAWING = "withdrawing"
"""Why a content is suspended whose last confirmed claim is being withdrawn."""

_STRENGTH = {SuspensionReason.PERSON: 0, SuspensionReason.KEY: 1, SuspensionReason.POSSIBLE_MINOR: 2}


class SamePerson(Permanent):
    """This takes a second person, with a key of their own."""


class WrongState(Permanent):
    """The claim is in another state."""


class TooLateAStart(Permanent):
    """`demands_not_before` is too far away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFingerprint:
    """A fingerprint of a claim. `assurance` is None while nobody has confirmed it."""

    algorithm: Algorithm
    value: bytes
    quality: int | None
    origin: str
    orientation: str
    assurance: Assurance | None
    max_distance: int | None = None
    """None: as far as the algorithm allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """The facts of a claim by which the state of its content is decided."""

    claim_id: UUID
    organisation_id: str
    state: ClaimState
    assurance: Assurance | None
    withdrawal_reason: WithdrawalReason | None
    fingerprints: tuple[ClaimFingerprint, ...] = ()
    distrusted: bool = False
    """Declared or confirmed by a key that was revoked with the content that rested on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFacts:
    """What the register says of a content: the part of `takedown.content` that follows from its claims and its suspension."""

    state: ContentState
    suspended_for: str | None = None
    withdrawn_for: str | None = None
    fetching: Literal["allowed", "stopped"] = "allowed"
    assurance: Assurance | None = None
    fingerprints: tuple[RegisteredFingerprint, ...] = ()


class WithdrawalStep(StrEnum):
    """What asking for a withdrawal does now."""

    BEGIN = "begin"
    FINISH = "finish"
    NOTHING = "nothing"


def derive(
    claims: Iterable[ClaimFacts], suspension: SuspensionReason | None, *, fetching_stopped: bool = False
) -> ContentFacts:
    """The content these claims and this suspension make. `fetching_stopped`: a recipient says that it may depict a minor.

    One confirmed claim keeps a content in the register; a suspension counts whatever the claims say, so another claim never
    brings back what was suspended. Fingerprints are the union over confirmed claims, and none once withdrawn.
    """
    claims = tuple(claims)
    fetching: Literal["allowed", "stopped"] = "stopped" if fetching_stopped else "allowed"
    confirmed = [claim for claim in claims if claim.state is ClaimState.CONFIRMED]
    states = {claim.state for claim in claims}
    if confirmed:
        return ContentFacts(
            state=ContentState.SUSPENDED if suspension else ContentState.ACTIVE,
            suspended_for=suspension.value if suspension else None,
            fetching=fetching,
            assurance=_strongest(claim.assurance for claim in confirmed),
            fingerprints=union(confirmed),
        )
    if ClaimState.WITHDRAWING in states:
        return ContentFacts(
            state=ContentState.SUSPENDED,
            suspended_for=suspension.value if suspension else WITHDRAWING,
            fetching=fetching,
        )
    if ClaimState.AWAITING_CONFIRMATION in states:
        return ContentFacts(state=ContentState.AWAITING_CONFIRMATION)
    reasons = [claim.withdrawal_reason for claim in claims if claim.withdrawal_reason is not None]
    return ContentFacts(state=ContentState.WITHDRAWN, withdrawn_for=_mildest(reasons))


def rests_on_distrusted(claims: Iterable[ClaimFacts]) -> bool:
    """Whether no claim that counts is of trusted keys alone. A claim that is being withdrawn may count again, but nothing rests on it."""
    claims = tuple(claims)
    confirmed = [claim for claim in claims if claim.state is ClaimState.CONFIRMED]
    withdrawing = [claim for claim in claims if claim.state is ClaimState.WITHDRAWING]
    return any(claim.distrusted for claim in (*confirmed, *withdrawing)) and all(
        claim.distrusted for claim in confirmed
    )


def union(confirmed: Iterable[ClaimFacts]) -> tuple[RegisteredFingerprint, ...]:
    """The fingerprints of confirmed claims, each value once: the strongest assurance, the best quality, `original` first,
    the widest `max_distance` (one claim's limit never narrows another's).

    Sorted, so that equal registers are equal values.
    """
    best: dict[tuple[str, bytes], ClaimFingerprint] = {}
    for claim in confirmed:
        for one in claim.fingerprints:
            if one.assurance is None:
                continue
            key = (one.algorithm, one.value)
            best[key] = _combined(best[key], one) if key in best else one
    return tuple(
        RegisteredFingerprint(
            algorithm=one.algorithm,
            value=one.value.hex(),
            quality=one.quality,
            origin="original" if one.origin == "original" else "variant",
            orientation=one.orientation,
            assurance=one.assurance,
            max_distance=one.max_distance,
        )
        for _, one in sorted(best.items())
        if one.assurance is not None
    )


def stronger_reason(present: SuspensionReason | None, asked: SuspensionReason) -> SuspensionReason:
    """The reason that counts after another suspension: `possible_minor` is never weakened by a further one."""
    if present is None or _STRENGTH[asked] > _STRENGTH[present]:
        return asked
    return present


def in_words(name: str) -> str:
    """A state or a reason as people read it."""
    return name.replace("_", " ")


def check_confirmation(*, state: ClaimState, declared_by: str, person_id: str) -> None:
    """Raises WrongState unless the claim waits for it, SamePerson when the claimant would confirm their own claim."""
    if state is not ClaimState.AWAITING_CONFIRMATION:
        raise WrongState(f"The claim is {in_words(state)}.")
    if person_id == declared_by:
        raise SamePerson("Whoever declared it cannot confirm it.")


def check_not_before(moment: datetime | None, *, now: datetime, longest: timedelta) -> None:
    """Raises TooLateAStart for a start of demands more than `longest` (72 h) away."""
    if moment is not None and moment > now + longest:
        raise TooLateAStart(f"This may be at most {longest.total_seconds() / 3600:g} hours from now.")


def claim_assurance(declared: Assurance, confirmed: Assurance) -> Assurance:
    """A claim's assurance: the weaker of its two steps."""
    return weaker(declared, confirmed)


def next_withdrawal_step(
    *,
    state: ClaimState,
    asked_by: str | None,
    reason_before: WithdrawalReason | None,
    person_id: str,
    reason: WithdrawalReason,
) -> WithdrawalStep:
    """What `person_id` asking for a withdrawal does: begin it, finish it (another person's word), or nothing new.

    A claim nobody confirmed was never published: it is withdrawn at once. Raises WrongState for a withdrawn claim, and for
    a second word that gives another reason (the reasons have other consequences).
    """
    match state:
        case ClaimState.AWAITING_CONFIRMATION:
            return WithdrawalStep.FINISH
        case ClaimState.CONFIRMED:
            return WithdrawalStep.BEGIN
        case ClaimState.WITHDRAWN:
            raise WrongState("The claim is withdrawn already.")
    if reason is not reason_before:
        raise WrongState(f"The claim is being withdrawn already, for the reason {in_words(reason_before or 'none')}.")
    return WithdrawalStep.NOTHING if person_id == asked_by else WithdrawalStep.FINISH


def _strongest(assurances: Iterable[Assurance | None]) -> Assurance | None:
    best: Assurance | None = None
    for one in assurances:
        if one is not None:
            best = one if best is None else stronger(best, one)
    return best


def _combined(one: ClaimFingerprint, other: ClaimFingerprint) -> ClaimFingerprint:
    limits = (one.max_distance, other.max_distance)
    qualities = [quality for quality in (one.quality, other.quality) if quality is not None]
    return ClaimFingerprint(
        algorithm=one.algorithm,
        value=one.value,
        quality=max(qualities) if qualities else None,
        origin="original" if "original" in (one.origin, other.origin) else "variant",
        orientation=min(one.orientation, other.orientation),
        assurance=_strongest((one.assurance, other.assurance)),
        max_distance=None if None in limits else max(one.max_distance or 0, other.max_distance or 0),
    )


def _mildest(reasons: list[WithdrawalReason]) -> str:
    """Of several reasons the one that can do least harm: hosts are not asked to restore what one person depicted asked to have removed."""
    for reason in (WithdrawalReason.SUBJECT_REQUEST, WithdrawalReason.NOT_NCII, WithdrawalReason.WRONG_CONTENT):
        if reason in reasons:
            return reason.value
    return "unconfirmed"
