"""What the parts of a picture say of the content looked for: pure. They are asked where the whole picture does not agree.

A part agrees within the same limits and behind the same guards as a whole picture (`shared/agreement.py`). What is nearly the content in
any part is probably there still.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from services.notifier.checks.seen import Wanted
from shared.agreement import Comparison, best_agreement, nearest
from shared.contracts.content import RegisteredFingerprint
from shared.media.fingerprints import Algorithm, Fingerprint, distances
from shared.media.media_fingerprints import MediaFingerprints, pdq_fingerprints
from shared.media.views.view import PicturePart, ViewName
from shared.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PartSeen:
    """One part that agrees, or is near. `fingerprints`: its own, in all orientations."""

    name: ViewName
    found: Comparison
    agrees: bool
    fingerprints: tuple[Fingerprint, ...]


def best_part(
    parts: Iterable[PicturePart], wanted: Wanted, policy: Policy, is_rejected: Callable[[Fingerprint], bool]
) -> PartSeen | None:
    """The part whose agreement weighs most, else the nearest of those that may be the content; None: there is neither.

    What a person rejected does not agree, in no orientation.
    """
    values = _pdq_values(wanted.entries)
    agreeing: list[PartSeen] = []
    near: list[PartSeen] = []
    for part in parts:
        fingerprints = pdq_fingerprints(part.hashes)
        least = least_distance(fingerprints, values)
        if least is None or least > policy.max_distance_probable or any(map(is_rejected, fingerprints)):
            continue
        agreement = best_agreement(fingerprints, wanted.entries, wanted.harmless, policy)
        found = agreement or nearest(fingerprints, wanted.entries, wanted.harmless, policy)
        if found is not None:
            seen = PartSeen(name=part.name, found=found, agrees=agreement is not None, fingerprints=fingerprints)
            (near if agreement is None else agreeing).append(seen)
    return min(agreeing, key=lambda one: one.found.weight(policy), default=None) or min(
        near, key=lambda one: one.found.distance, default=None
    )


def least_of_whole(media: MediaFingerprints, entries: Sequence[RegisteredFingerprint]) -> int | None:
    """How far the picture as a whole is from the nearest PDQ value looked for, in bits; None: there is none, or it has none."""
    return least_distance([one for view in media.by_view() for one in view], _pdq_values(entries))


def least_distance(fingerprints: Sequence[Fingerprint], values: Sequence[bytes]) -> int | None:
    if not fingerprints or not values:
        return None
    return int(distances([one.value for one in fingerprints], values).min())


def without(media: MediaFingerprints, values: Collection[bytes], bits: int) -> tuple[PicturePart, ...]:
    """The parts that are further than `bits` from all of these values."""
    known = list(values)
    kept = []
    for part in media.parts:
        least = least_distance(pdq_fingerprints(part.hashes), known)
        if least is None or least > bits:
            kept.append(part)
    return tuple(kept)


def _pdq_values(entries: Iterable[RegisteredFingerprint]) -> list[bytes]:
    size = 2 * Algorithm.PDQ.size_bytes
    return [
        bytes.fromhex(one.value)
        for one in entries
        if Algorithm(one.algorithm) is Algorithm.PDQ and len(one.value) == size
    ]
