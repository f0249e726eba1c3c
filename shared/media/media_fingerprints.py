"""The fingerprints of a picture, as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.media.fingerprints import Algorithm, Fingerprint, Hashes, Orientation, degenerate_because
from shared.media.views.view import PicturePart


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFingerprints:
    """What a picture is known by: exact hashes of the file's bytes, and PDQ of its true pixels in all eight orientations.

    `views`: for each way a viewer may see it (as it is first; then over a white and a black page where it is transparent, and its
    further frames) orientation → (32 bytes, quality). `parts`: of those views, where they were asked for. `partial`: the file was cut
    short and hashed as far as it went. `complete` False: a viewer may see more than was hashed. `reduced`: decoded at a smaller scale,
    PDQ may be some bits off. `format`: Pillow's name of it (by content).
    """

    views: tuple[Hashes, ...]
    md5: bytes
    sha1: bytes
    sha256: bytes
    width: int
    height: int
    format: str
    parts: tuple[PicturePart, ...] = ()
    partial: bool = False
    complete: bool = True
    reduced: bool = False

    @property
    def pdq(self) -> bytes:
        """Of the picture as it is; all zero for one too small to have any."""
        return self.views[0][Orientation.IDENTITY][0]

    @property
    def quality(self) -> int:
        return self.views[0][Orientation.IDENTITY][1]

    @property
    def all_seen(self) -> bool:
        """Whether what does not agree with these fingerprints is certainly not there: nothing a viewer may see was left out, nor seen only
        at a smaller scale, at which a forged file may be another picture."""
        return self.complete and not self.partial and not self.reduced

    def fingerprints(self, at_most: int | None = None) -> tuple[Fingerprint, ...]:
        """Each PDQ value once, then MD5, SHA-1, SHA-256. A degenerate PDQ (an empty picture's) is left out.

        `at_most` (11 or more): the picture as it is in all orientations, then as many as there is room for of its parts, in the order in
        which they were found (margins and cells before halves, quarters and turns), and of the other views, spread evenly, as it is and
        mirrored. Where there are both, each has half.
        """
        if at_most is None:
            return (*_each_once(one for view in self.by_view() for one in view), *self.exact())
        first = _each_once(self.by_view()[0])
        places = max(0, at_most - len(self.exact()) - len(first)) // len(_OF_OTHER_VIEWS)
        parts = [pdq_fingerprints(part.hashes) for part in self.parts if part.of == 0]
        views = self.by_view()[1:]
        for_parts = max(places - len(views), places // 2)
        some = (*parts[:for_parts], *_evenly(views, places - min(for_parts, len(parts))))
        others = (one for view in some for one in view if one.orientation in _OF_OTHER_VIEWS)
        return (*_each_once((*first, *others)), *self.exact())

    def by_view(self) -> tuple[tuple[Fingerprint, ...], ...]:
        """The PDQ values of each view, degenerate ones left out."""
        return tuple(map(pdq_fingerprints, self.views))

    def exact(self) -> tuple[Fingerprint, ...]:
        """MD5, SHA-1 and SHA-256 of the file."""
        return (
            Fingerprint(algorithm=Algorithm.MD5, value=self.md5),
            Fingerprint(algorithm=Algorithm.SHA1, value=self.sha1),
            Fingerprint(algorithm=Algorithm.SHA256, value=self.sha256),
        )


def pdq_fingerprints(hashes: Hashes) -> tuple[Fingerprint, ...]:
    """The values of a view or of a part of one, degenerate ones left out."""
    return tuple(
        Fingerprint(algorithm=Algorithm.PDQ, value=hashes[turned][0], quality=hashes[turned][1], orientation=turned)
        for turned in Orientation
        if degenerate_because(Algorithm.PDQ, hashes[turned][0]) is None
    )


_OF_OTHER_VIEWS = (Orientation.IDENTITY, Orientation.MIRROR)


def _each_once(fingerprints: Iterable[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Of equal values the first: a symmetric picture is the same turned."""
    found: dict[bytes, Fingerprint] = {}
    for one in fingerprints:
        found.setdefault(one.value, one)
    return tuple(found.values())


def _evenly(views: Sequence[tuple[Fingerprint, ...]], count: int) -> Sequence[tuple[Fingerprint, ...]]:
    return views if len(views) <= count else [views[place * len(views) // count] for place in range(count)]
