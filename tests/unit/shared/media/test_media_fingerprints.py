"""Which of a picture's values a sighting holds."""

from __future__ import annotations

import random

import pytest

from shared.media.fingerprints import Algorithm, Hashes, Orientation
from shared.media.media_fingerprints import MediaFingerprints
from shared.media.views.view import PicturePart, ViewName

RANDOM = random.Random(3)


def hashes() -> Hashes:
    return {turned: (RANDOM.randbytes(32), 90) for turned in Orientation}


def media(views: int, parts: int, *, of: int = 0) -> MediaFingerprints:
    return MediaFingerprints(
        views=tuple(hashes() for _ in range(views)),
        parts=tuple(
            PicturePart(name=ViewName.CELL, rectangle=(0, 0, 1, 1), hashes=hashes(), of=of) for _ in range(parts)
        ),
        md5=RANDOM.randbytes(16),
        sha1=RANDOM.randbytes(20),
        sha256=RANDOM.randbytes(32),
        width=640,
        height=480,
        format="JPEG",
    )


@pytest.mark.parametrize(
    ("views", "parts", "of_views", "of_parts"),
    [
        (1, 0, 0, 0),
        (1, 5, 0, 5),
        (1, 30, 0, 14),
        (9, 0, 8, 0),
        (40, 0, 14, 0),
        (40, 30, 7, 7),
        (3, 30, 2, 12),
        (40, 2, 12, 2),
    ],
)
def test_a_sighting_holds_the_picture_then_its_parts_and_other_views(
    views: int, parts: int, of_views: int, of_parts: int
) -> None:
    one = media(views, parts)
    found = one.fingerprints(at_most=40)
    values = {fingerprint.value for fingerprint in found}
    assert len(found) == len(values) <= 40
    assert {value for value, _ in one.views[0].values()} <= values
    assert {fingerprint.algorithm for fingerprint in found} == {
        Algorithm.PDQ,
        Algorithm.MD5,
        Algorithm.SHA1,
        Algorithm.SHA256,
    }
    given = [sum(view[Orientation.IDENTITY][0] in values for view in one.views[1:])]
    given.append(sum(part.hashes[Orientation.IDENTITY][0] in values for part in one.parts))
    assert given == [of_views, of_parts]
    kept = one.parts[:of_parts]
    assert all(
        part.hashes[turned][0] in values for part in kept for turned in (Orientation.IDENTITY, Orientation.MIRROR)
    )


def test_parts_are_not_among_all_that_a_picture_is() -> None:
    """They would become the reference of what a person asserts."""
    one = media(2, 3)
    assert len(one.fingerprints()) == 2 * 8 + 3


def test_parts_of_a_further_frame_are_not_sent() -> None:
    assert len(media(2, 3, of=1).fingerprints(at_most=40)) == 8 + 2 + 3
