"""What a part of a picture counts for: the limits, the guards and the rejections of whole pictures."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import uuid4

import pytest

from services.notifier.checks.drawn import not_rejected
from services.notifier.checks.judgement import Judge
from services.notifier.checks.seen import Seen, Wanted
from services.notifier.domain.model import Outcome
from shared.agreement import Grade
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.media.fingerprints import Algorithm, Fingerprint, Hashes, Orientation, fingerprint_ref
from shared.media.media_fingerprints import MediaFingerprints
from shared.media.views.view import PicturePart, ViewName
from shared.policy import Policy

KEY = b"k" * 32
RANDOM = random.Random(7)
CONTENT, OTHER = RANDOM.randbytes(32), RANDOM.randbytes(32)
POLICY = Policy()


def off(value: bytes, bits: int) -> bytes:
    flipped = int.from_bytes(value)
    for place in random.Random(bits).sample(range(256), bits):
        flipped ^= 1 << place
    return flipped.to_bytes(32)


def hashes(value: bytes, quality: int = 90) -> Hashes:
    """Of a picture that is `value` as it is, and something else turned."""
    seeded = random.Random(value)
    return {turned: (seeded.randbytes(32), quality) for turned in Orientation} | {
        Orientation.IDENTITY: (value, quality)
    }


def part(
    value: bytes, *, name: ViewName = ViewName.CELL, of: int = 0, turned: Orientation | None = None
) -> PicturePart:
    found = dict(hashes(value))
    if turned is not None:
        found = dict(hashes(OTHER)) | {turned: (value, 90)}
    return PicturePart(name=name, rectangle=(0.0, 0.0, 0.5, 0.5), hashes=found, of=of)


def media(*parts: PicturePart, whole: bytes = OTHER, further: bytes | None = None) -> MediaFingerprints:
    views = (hashes(whole),) if further is None else (hashes(whole), hashes(further))
    md5, sha1, sha256 = bytes(16), bytes(20), bytes(32)
    return MediaFingerprints(
        views=views, md5=md5, sha1=sha1, sha256=sha256, width=640, height=480, format="JPEG", parts=parts
    )


def judge(
    *,
    assurance: Assurance = Assurance.VIEWED,
    max_distance: int | None = None,
    harmless: tuple[bytes, ...] = (),
    rejected: tuple[bytes, ...] = (),
) -> Judge:
    entry = RegisteredFingerprint(
        algorithm="pdq", value=CONTENT.hex(), quality=90, assurance=assurance, max_distance=max_distance
    )
    refs = (fingerprint_ref(KEY, Fingerprint(algorithm=Algorithm.PDQ, value=one)) for one in rejected)
    url = "http://site.test/x.jpg"
    wanted = Wanted(
        takedown_id=uuid4(),
        target_kind="media",
        url=url,
        url_key=url,
        page_url=None,
        register=(entry,),
        harmless=harmless,
        rejected=frozenset(refs),
    )
    return Judge(wanted=wanted, policy=POLICY, fingerprint_key=KEY)


@pytest.mark.parametrize("turned", [None, Orientation.MIRROR, Orientation.ROTATE90])
@pytest.mark.parametrize(
    ("bits", "outcome"),
    [
        (0, Outcome.PRESENT),
        (31, Outcome.PRESENT),
        (32, Outcome.INCONCLUSIVE),
        (50, Outcome.INCONCLUSIVE),
        (51, Outcome.MISMATCH),
    ],
)
def test_a_part_counts_up_to_the_limits_of_a_whole_picture(
    bits: int, outcome: Outcome, turned: Orientation | None
) -> None:
    seen = judge().picture(media(part(OTHER), part(off(CONTENT, bits), turned=turned)))
    assert seen.outcome is outcome
    found = seen.agreement or seen.near
    assert (None if found is None else found.distance) == (None if outcome is Outcome.MISMATCH else bits)
    assert seen.view is (None if outcome is Outcome.MISMATCH else ViewName.CELL)
    assert (seen.whole_distance is None) is (outcome is Outcome.MISMATCH)
    assert seen.whole_distance is None or seen.whole_distance > 50


def test_a_whole_picture_that_agrees_needs_no_part() -> None:
    seen = judge().picture(media(part(CONTENT), whole=off(CONTENT, 20)))
    assert (seen.outcome, seen.view, seen.agreement and seen.agreement.distance) == (Outcome.PRESENT, None, 20)


def test_where_the_whole_is_nearly_it_a_part_may_be_it_and_the_nearest_is_told() -> None:
    assert judge().picture(media(part(off(CONTENT, 30)), whole=off(CONTENT, 40))).outcome is Outcome.PRESENT
    for bits, view in ((45, None), (35, ViewName.CELL)):
        seen = judge().picture(media(part(off(CONTENT, bits)), whole=off(CONTENT, 40)))
        assert (seen.outcome, seen.view) == (Outcome.INCONCLUSIVE, view)
        assert seen.near is not None
        assert seen.near.distance == min(bits, 40)


def test_the_nearest_of_several_parts_is_told() -> None:
    parts = [part(off(CONTENT, bits), name=name) for bits, name in ((24, ViewName.TRIM), (6, ViewName.BLOCK))]
    seen = judge().picture(media(*parts))
    assert seen.view is ViewName.BLOCK


def test_what_a_part_allows_is_what_a_whole_picture_would() -> None:
    for distance, grade in ((10, Grade.SURE), (20, Grade.UNSURE)):
        seen = judge(assurance=Assurance.UNSEEN).picture(media(part(off(CONTENT, distance))))
        assert seen.agreement is not None
        assert seen.agreement.grade(POLICY) is grade
    assert judge(max_distance=8).picture(media(part(off(CONTENT, 20)))).outcome is Outcome.INCONCLUSIVE


def test_the_negative_list_holds_for_parts() -> None:
    for bits in (20, 40):
        near = off(CONTENT, bits)
        seen = judge(harmless=(near,)).picture(media(part(near)))
        assert (seen.outcome, seen.near) == (Outcome.MISMATCH, None)


def test_a_rejected_picture_does_not_agree_in_its_parts_and_a_rejected_part_in_no_orientation() -> None:
    agreeing = part(CONTENT)
    clear = Outcome.MISMATCH, None
    seen = judge(rejected=(OTHER,)).picture(media(agreeing))
    assert (seen.outcome, seen.near) == clear
    turned = agreeing.hashes[Orientation.MIRROR][0]
    seen = judge(rejected=(turned,)).picture(media(agreeing))
    assert (seen.outcome, seen.near) == clear
    # Another frame's parts are not those of the picture that was rejected.
    frame = RANDOM.randbytes(32)
    seen = judge(rejected=(OTHER,)).picture(media(replace(agreeing, of=1), further=frame))
    assert seen.outcome is Outcome.PRESENT


def test_a_drawing_of_what_was_rejected_does_not_agree_in_its_parts() -> None:
    """A screen that shows the rejected picture at another size."""
    one = judge(rejected=(CONTENT,))
    known = [Fingerprint(algorithm=Algorithm.PDQ, value=CONTENT)]
    screen = media(part(off(CONTENT, 9)), part(RANDOM.randbytes(32)))
    (kept,) = not_rejected(one, [screen], known)
    assert kept.parts == screen.parts[1:]
    assert one.picture(screen).outcome is Outcome.PRESENT, "it would, were it not known"
    assert one.picture(kept).outcome is Outcome.MISMATCH


def test_what_counts_is_named_by_a_rejection_too() -> None:
    seen: Seen = judge().picture(media(part(off(CONTENT, 9))))
    values = {one.value for one in seen.known}
    assert {off(CONTENT, 9), OTHER} <= values
    assert off(CONTENT, 9) not in {one.value for one in seen.fingerprints}, "no part becomes a reference"
