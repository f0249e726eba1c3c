"""When a register entry and a seen fingerprint agree, and when that is sure enough for a machine to act on: rule 4, here alone.

The matcher (which of several agreements is published), the check (what is `present`) and the holds (what waits for a person) all ask here.
Pure. Distances are in bits, 0 for exact algorithms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.contracts.matches import NEVER_ACTED_ON, Guard
from shared.media.fingerprints import PDQ_MAX_DISTANCE, PDQ_MIN_QUALITY, Algorithm, Fingerprint, hamming
from shared.policy import Policy

REDUCED_DRIFT_BITS = 16
"""How far a value at a smaller scale is taken to be from the one at the full scale, at most; 19 of 20 are within 4 (`make bench-pdq`)."""
REDUCED_QUALITY_DRIFT = 10
"""The same of its quality. Measured: 3."""


class Grade(IntEnum):
    """What may follow from a comparison, the best first."""

    SURE = 0
    """A machine may go on."""
    UNSURE = 1
    """It agrees, and a person has to say whether a demand may rest on it."""
    NEVER = 2
    """Nothing may come of it: it does not agree, or a guard says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A register entry and a fingerprint of ours, compared.

    `limit`: up to which distance the entry agrees. `assurance`: the entry's. `quality`: of the seen one.
    `harmless_distance`: how far the seen one is from the nearest entry of the negative list; None: there is none to compare with.
    """

    algorithm: Algorithm
    distance: int
    limit: int
    assurance: Assurance
    quality: int | None = None
    guards: tuple[Guard, ...] = ()
    harmless_distance: int | None = None

    def grade(self, policy: Policy) -> Grade:
        return grade(self.assurance, self.distance, self.guards, policy)

    def weight(self, policy: Policy) -> tuple[int, ...]:
        """See `weight`."""
        return weight(self.algorithm, self.assurance, self.distance, self.guards, policy)


def limit(algorithm: Algorithm, max_distance: int | None) -> int:
    """Up to which distance an entry agrees: its algorithm's own limit, or less where the entry asks for less (None: it does not)."""
    return algorithm.max_distance if max_distance is None else min(algorithm.max_distance, max_distance)


def guards(
    entry: Fingerprint,
    seen: Fingerprint,
    distance: int,
    *,
    limit: int,
    derived: bool = False,
    harmless_distance: int | None = None,
) -> tuple[Guard, ...]:
    """Why this must not, or must not alone, be acted on. Two exact values have no guard: what equals content is content.

    `derived`: not the seen fingerprint agrees, but what follows from its bits for the picture turned.
    """
    if seen.algorithm.exact:
        return ()
    qualities = (entry.quality, seen.quality)
    stands = {
        Guard.LOW_QUALITY: any(one is not None and one < PDQ_MIN_QUALITY for one in qualities),
        Guard.QUALITY_UNKNOWN: None in qualities,
        Guard.OVER_THRESHOLD: distance > limit,
        Guard.DERIVED_ORIENTATION: derived,
        Guard.NEGATIVE_LIST: is_harmless(distance, harmless_distance),
    }
    return tuple(guard for guard, against in stands.items() if against)


def is_harmless(distance: int, harmless_distance: int | None) -> bool:
    """Whether a value so far from the content is taken for one of the negative list (None: none is known).

    It has to agree with an entry and be strictly nearer to it than to the content: a copy of content must not be hidden.
    """
    return harmless_distance is not None and harmless_distance <= PDQ_MAX_DISTANCE and harmless_distance < distance


def reach(assurance: Assurance, guards: Collection[Guard], policy: Policy) -> int:
    """Up to which distance a machine may act: less where no person has seen the content, or a value's quality is not known."""
    strong = assurance.sure and Guard.QUALITY_UNKNOWN not in guards
    return policy.max_distance_sure if strong else policy.max_distance_unsure


def grade(assurance: Assurance, distance: int, guards: Collection[Guard], policy: Policy) -> Grade:
    """What an agreement at this distance allows. A derived orientation's distance is not that of any pixels: never sure."""
    if not NEVER_ACTED_ON.isdisjoint(guards):
        return Grade.NEVER
    if Guard.DERIVED_ORIENTATION in guards or distance > reach(assurance, guards, policy):
        return Grade.UNSURE
    return Grade.SURE


def weight(
    algorithm: Algorithm, assurance: Assurance, distance: int, guards: Collection[Guard], policy: Policy
) -> tuple[int, ...]:
    """The order of agreements, what weighs most first: one that may be acted on, exact, within reach, of the true pixels, near, of
    seen content."""
    return (
        grade(assurance, distance, guards, policy) is Grade.NEVER,
        not algorithm.exact,
        distance > reach(assurance, guards, policy),
        Guard.DERIVED_ORIENTATION in guards,
        distance,
        not assurance.sure,
    )


def best_agreement(
    seen: Iterable[Fingerprint],
    registered: Iterable[RegisteredFingerprint],
    harmless: Sequence[bytes],
    policy: Policy,
) -> Comparison | None:
    """The agreement that weighs most between what was seen and what is looked for; None: nothing agrees.

    `harmless`: the PDQ values of the negative list.
    """
    entries = [
        (Fingerprint(algorithm=Algorithm(one.algorithm), value=bytes.fromhex(one.value), quality=one.quality), one)
        for one in registered
        if len(one.value) == 2 * Algorithm(one.algorithm).size_bytes  # the matcher leaves out what is none, too
    ]
    found = (
        _compared(entry, of, one, distance, harmless)
        for one in seen
        for entry, of in entries
        if entry.algorithm is one.algorithm
        and (distance := hamming(one.value, entry.value)) <= limit(entry.algorithm, of.max_distance)
    )
    agreeing = [one for one in found if one.grade(policy) is not Grade.NEVER]
    return min(agreeing, key=lambda one: one.weight(policy), default=None)


def nearest(
    seen: Iterable[Fingerprint],
    registered: Iterable[RegisteredFingerprint],
    harmless: Sequence[bytes],
    policy: Policy,
) -> Comparison | None:
    """The nearest of what does not agree, where it is so near that it is probably the content still; None: nothing is.

    Up to `max_distance_probable` bits, whatever the qualities are and however near the entry itself wants it; what the negative list
    is nearer to is harmless. Ask for it where nothing agrees.
    """
    entries = [
        (Fingerprint(algorithm=Algorithm.PDQ, value=bytes.fromhex(one.value), quality=one.quality), one)
        for one in registered
        if Algorithm(one.algorithm) is Algorithm.PDQ
    ]
    found = (
        _compared(entry, of, one, distance, harmless)
        for one in seen
        for entry, of in entries
        if one.algorithm is Algorithm.PDQ
        and (distance := hamming(one.value, entry.value)) <= policy.max_distance_probable
    )
    near = [one for one in found if Guard.NEGATIVE_LIST not in one.guards]
    return min(near, key=lambda one: one.distance, default=None)


def is_comparable(registered: Iterable[RegisteredFingerprint]) -> bool:
    """Whether a picture that does not agree can be distinguished from the content. Exact values alone cannot: one changed byte is another
    file."""
    return any(
        Algorithm(one.algorithm) is Algorithm.PDQ and (one.quality is None or one.quality >= PDQ_MIN_QUALITY)
        for one in registered
    )


def _compared(
    entry: Fingerprint, of: RegisteredFingerprint, seen: Fingerprint, distance: int, harmless: Sequence[bytes]
) -> Comparison:
    most = limit(entry.algorithm, of.max_distance)
    nearest = None if seen.algorithm.exact else min((hamming(seen.value, value) for value in harmless), default=None)
    return Comparison(
        algorithm=seen.algorithm,
        distance=distance,
        limit=most,
        assurance=of.assurance,
        quality=seen.quality,
        guards=guards(entry, seen, distance, limit=most, harmless_distance=nearest),
        harmless_distance=nearest,
    )


def is_clear(found: Comparison, policy: Policy) -> bool:
    """Whether an agreement at a smaller scale is one at the full scale too, of the same grade: no threshold is near."""
    if found.algorithm.exact:
        return True
    nearest = min(found.limit, reach(found.assurance, found.guards, policy))
    good = found.quality is None or found.quality >= PDQ_MIN_QUALITY + REDUCED_QUALITY_DRIFT
    apart = found.harmless_distance is None or found.harmless_distance - found.distance >= 2 * REDUCED_DRIFT_BITS
    return good and apart and found.distance + REDUCED_DRIFT_BITS <= nearest
