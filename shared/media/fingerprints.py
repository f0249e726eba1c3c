"""Fingerprints, by which media is recognised: parsed, validated, turned; degenerate values are refused.

A PDQ value is 256 bits in the order `pdqhash` and ThreatExchange print them (the bit of DCT row 15, column 15 first).
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from shared.errors import Permanent

Word = TypeVar("Word", bound=StrEnum)

PDQ_MAX_DISTANCE = 31
"""Two PDQ values agree at this Hamming distance or less (ThreatExchange's recommendation)."""
PDQ_MIN_QUALITY = 50
"""Below it a PDQ value says too little of its picture to act on."""
PDQ_MIN_BITS_SET = 32
PDQ_MAX_BITS_SET = 224


class Algorithm(StrEnum):
    """The algorithms of fingerprints."""

    PDQ = "pdq"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"

    @property
    def size_bytes(self) -> int:
        return _SIZE_BYTES[self]

    @property
    def exact(self) -> bool:
        """True where only equal values agree."""
        return self is not Algorithm.PDQ

    @property
    def max_distance(self) -> int:
        """The largest Hamming distance at which two values agree, in bits."""
        return 0 if self.exact else PDQ_MAX_DISTANCE


class Orientation(StrEnum):
    """Of which pixels a value is the hash: the picture as it is, or turned or mirrored first. Turns are counter-clockwise."""

    IDENTITY = "identity"
    ROTATE90 = "rotate90"
    ROTATE180 = "rotate180"
    ROTATE270 = "rotate270"
    MIRROR = "mirror"
    """Left and right exchanged."""
    FLIP = "flip"
    """Top and bottom exchanged."""
    TRANSPOSE = "transpose"
    TRANSVERSE = "transverse"

    @property
    def opposite(self) -> Orientation:
        """The turn that undoes this one."""
        return _OPPOSITE.get(self, self)


class Origin(StrEnum):
    """Which form of the content a fingerprint is of."""

    ORIGINAL = "original"
    VARIANT = "variant"


_OPPOSITE: Mapping[Orientation, Orientation] = MappingProxyType(
    {Orientation.ROTATE90: Orientation.ROTATE270, Orientation.ROTATE270: Orientation.ROTATE90}
)
_SIZE_BYTES: Mapping[Algorithm, int] = MappingProxyType(
    {Algorithm.PDQ: 32, Algorithm.MD5: 16, Algorithm.SHA1: 20, Algorithm.SHA256: 32}
)
_OF_EMPTY_INPUT = frozenset(
    new(b"", usedforsecurity=False).digest() for new in (hashlib.md5, hashlib.sha1, hashlib.sha256)
)


class BadFingerprint(Permanent, ValueError):
    """The fingerprint cannot be used.

    A ValueError too, so that a pydantic validator reports it at its field. The text never holds the value.
    """


class MalformedFingerprint(BadFingerprint):
    """This is not a valid fingerprint."""


class DegenerateFingerprint(BadFingerprint):
    """This fingerprint is degenerate: it would match unrelated pictures."""


class LowQuality(BadFingerprint):
    """The quality of this fingerprint is too low to identify a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One fingerprint. `quality` is 0-100 and PDQ's alone; None: not known."""

    algorithm: Algorithm
    value: bytes
    quality: int | None = None
    orientation: Orientation = Orientation.IDENTITY
    origin: Origin = Origin.ORIGINAL

    @property
    def hex(self) -> str:
        """The canonical form: lower-case hexadecimal."""
        return self.value.hex()

    def __repr__(self) -> str:
        # A value is personal data: it must not reach a log line or a traceback by being printed.
        return f"Fingerprint({self.algorithm}, quality={self.quality}, orientation={self.orientation})"


def parse_fingerprint(
    algorithm: str,
    value: str,
    quality: int | None = None,
    *,
    orientation: str = Orientation.IDENTITY,
    origin: str = Origin.ORIGINAL,
    min_quality: int = 0,
) -> Fingerprint:
    """The fingerprint in these words; `value` is hexadecimal of either case.

    `min_quality` applies to a PDQ value whose quality is given (claims: `PDQ_MIN_QUALITY`; sightings: 0, they are guarded
    later). Raises MalformedFingerprint, DegenerateFingerprint, LowQuality.
    """
    known = _parse_word(Algorithm, algorithm, "algorithm")
    turned = _parse_word(Orientation, orientation, "orientation")
    of = _parse_word(Origin, origin, "origin")
    raw = _parse_hex(known, value)
    if quality is not None:
        if known is not Algorithm.PDQ:
            raise MalformedFingerprint(f"Only pdq has a quality; leave it out for {known}.")
        if not 0 <= quality <= 100:
            raise MalformedFingerprint("The quality is a number from 0 to 100.")
    why = degenerate_because(known, raw)
    if why is not None:
        raise DegenerateFingerprint(why)
    if quality is not None and quality < min_quality:
        raise LowQuality(f"It is {quality}; at least {min_quality} is needed.")
    return Fingerprint(algorithm=known, value=raw, quality=quality, orientation=turned, origin=of)


def degenerate_because(algorithm: Algorithm, value: bytes) -> str | None:
    """Why this value identifies nothing, or None. One sentence for a person, without the value."""
    bits = int.from_bytes(value).bit_count()
    if bits in (0, len(value) * 8):
        return f"Every bit of the {algorithm} value is {'zero' if bits == 0 else 'one'}."
    if algorithm is Algorithm.PDQ:
        if bits < PDQ_MIN_BITS_SET:
            return f"{bits} of its 256 bits are set; at least {PDQ_MIN_BITS_SET} are needed."
        if bits > PDQ_MAX_BITS_SET:
            return f"{bits} of its 256 bits are set; at most {PDQ_MAX_BITS_SET} may be."
    if value in _OF_EMPTY_INPUT:
        return "It is the hash of an empty file."
    return None


def none_degenerate(algorithm: Algorithm, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """bool[n]: which of `values` (uint8[n, size of the algorithm]) are not degenerate, as `degenerate_because` says of each."""
    bits = np.bitwise_count(values).sum(axis=1, dtype=np.int64)
    if algorithm is Algorithm.PDQ:
        least, most = PDQ_MIN_BITS_SET, PDQ_MAX_BITS_SET
    else:
        least, most = 1, 8 * algorithm.size_bytes - 1
    good: npt.NDArray[np.bool_] = (bits >= least) & (bits <= most)
    for empty in _OF_EMPTY_INPUT:
        if len(empty) == algorithm.size_bytes:
            good &= (values != np.frombuffer(empty, dtype=np.uint8)).any(axis=1)
    return good


def fingerprint_ref(key: bytes, fingerprint: Fingerprint) -> str:
    """HMAC-SHA-256(key, algorithm ‖ value) in hex: names a fingerprint without revealing it. `key`: `fingerprint-ref`.

    Quality, orientation and origin do not enter: equal values have equal references.
    """
    message = fingerprint.algorithm.encode() + fingerprint.value
    return hmac.new(key, message, hashlib.sha256).hexdigest()


Hashes = Mapping[Orientation, tuple[bytes, int]]
"""PDQ and quality of a picture turned so."""


def hamming(one: bytes, other: bytes) -> int:
    """The number of bits in which two values of equal length differ. Raises ValueError for unequal lengths."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} bytes have no distance")
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def distances(values: Sequence[bytes], others: Sequence[bytes]) -> npt.NDArray[np.uint16]:
    """uint16[n, m]: the distance in bits of each PDQ value to each of the others. Raises ValueError for one of another length."""
    rows, columns = (
        np.frombuffer(b"".join(some), dtype=np.uint64).reshape(len(some), Algorithm.PDQ.size_bytes // 8)
        for some in (values, others)
    )
    counted: npt.NDArray[np.uint16] = np.bitwise_count(rows[:, None] ^ columns).sum(axis=2, dtype=np.uint16)
    return counted


def derive_orientations(value: bytes) -> dict[Orientation, bytes]:
    """The values a PDQ value (32 bytes) would roughly have had, had its picture been turned or mirrored first.

    From the bits alone (a DCT coefficient keeps its size and changes place or sign; the median is taken for zero), so
    near the true value, tens of bits off in a smooth picture. A derived value never leads to a demand: the true pixels must be hashed.
    """
    if len(value) != Algorithm.PDQ.size_bytes:
        raise ValueError(f"a PDQ value has 32 bytes, not {len(value)}")
    bits = np.unpackbits(np.frombuffer(value, dtype=np.uint8))
    return {name: np.packbits(bits[places] ^ flips).tobytes() for name, (places, flips) in _derivations().items()}


@functools.cache
def _derivations() -> Mapping[Orientation, tuple[npt.NDArray[np.intp], npt.NDArray[np.uint8]]]:
    """For each orientation: from which place each of the 256 bits comes, and whether it is flipped.

    Both keep Hamming distances. So a derived value is as far from another as its value is from the other, derived the
    opposite way (`Orientation.opposite`).
    """
    # Printed order is reversed; [row][column] of the 16 x 16 coefficients (1..16 of the DCT) in here.
    places = np.arange(256)[::-1].reshape(16, 16)
    columns, rows = np.meshgrid(np.arange(16), np.arange(16))
    # Index k stands for frequency k + 1: mirroring negates odd frequencies, that is even k.
    left_right = (columns % 2 == 0).astype(np.uint8)
    top_bottom = (rows % 2 == 0).astype(np.uint8)
    turned = {
        Orientation.IDENTITY: (places, np.zeros_like(left_right)),
        Orientation.MIRROR: (places, left_right),
        Orientation.FLIP: (places, top_bottom),
        Orientation.ROTATE180: (places, left_right ^ top_bottom),
        Orientation.TRANSPOSE: (places.T, np.zeros_like(left_right)),
        Orientation.ROTATE90: (places.T, top_bottom),
        Orientation.ROTATE270: (places.T, left_right),
        Orientation.TRANSVERSE: (places.T, left_right ^ top_bottom),
    }
    return {name: (take.reshape(-1)[::-1], flips.reshape(-1)[::-1]) for name, (take, flips) in turned.items()}


def _parse_word(words: type[Word], word: str, what: str) -> Word:
    try:
        return words(word)
    except ValueError:
        raise MalformedFingerprint(f"{what} is one of {', '.join(words)}.") from None


def _parse_hex(algorithm: Algorithm, value: str) -> bytes:
    digits = algorithm.size_bytes * 2
    if len(value) != digits:
        raise MalformedFingerprint(f"a {algorithm} value has {digits} hexadecimal digits, this has {len(value)}.")
    # bytes.fromhex alone accepts white space between bytes.
    if not value.isascii() or not value.isalnum():
        raise MalformedFingerprint(f"a {algorithm} value has hexadecimal digits only.")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise MalformedFingerprint(f"a {algorithm} value has hexadecimal digits only.") from None
