"""Parsing, refusing and referring to fingerprints."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, model_validator

from shared.media.fingerprints import (
    Algorithm,
    BadFingerprint,
    DegenerateFingerprint,
    Fingerprint,
    LowQuality,
    MalformedFingerprint,
    Orientation,
    Origin,
    derive_orientations,
    fingerprint_ref,
    hamming,
    parse_fingerprint,
)

HALF = "0f" * 32

usable = st.sampled_from(Algorithm).flatmap(
    lambda algorithm: st.tuples(
        st.just(algorithm),
        st.binary(min_size=algorithm.size_bytes, max_size=algorithm.size_bytes).filter(
            lambda value: 32 <= int.from_bytes(value).bit_count() <= min(224, len(value) * 8 - 1)
        ),
    )
)


@settings(max_examples=100)
@given(usable, st.booleans())
def test_either_case_is_read_and_lower_case_is_written(of: tuple[Algorithm, bytes], upper: bool) -> None:
    algorithm, value = of
    text = value.hex().upper() if upper else value.hex()
    parsed = parse_fingerprint(algorithm.value, text)
    assert (parsed.algorithm, parsed.value, parsed.hex) == (algorithm, value, value.hex())
    assert (parsed.orientation, parsed.origin, parsed.quality) == (Orientation.IDENTITY, Origin.ORIGINAL, None)
    assert parse_fingerprint(parsed.algorithm, parsed.hex) == parsed


@settings(max_examples=200)
@given(
    st.text(max_size=8) | st.sampled_from(Algorithm),
    st.text(max_size=70) | st.text("0123456789abcdefABCDEF", max_size=70),
    st.none() | st.integers(),
)
def test_any_text_is_read_or_refused_by_name(algorithm: str, value: str, quality: int | None) -> None:
    refusal = ""
    try:
        parsed = parse_fingerprint(algorithm, value, quality)
    except BadFingerprint as error:
        refusal = str(error)
    else:
        assert parsed.hex == value.lower()
    # Words a refusal is made of may be generated too; a run of hexadecimal digits can only come from the value.
    assert value not in refusal or not re.fullmatch("[0-9a-fA-F]{8,}", value)


@pytest.mark.parametrize(
    ("algorithm", "value", "quality"),
    [
        ("pdq", HALF[:-2], None),
        ("pdq", HALF + "0f", None),
        ("pdq", HALF[:-1] + "g", None),
        ("pdq", HALF[:-1] + " ", None),
        ("pdq", "0f " + HALF[3:], None),
        ("pdq", HALF[:-1] + "０", None),  # noqa: RUF001 - a full-width digit, on purpose
        ("pdq", "0x" + HALF[2:], None),
        ("md5", HALF, None),
        ("crc32", "00000001", None),
        ("PDQ", HALF, None),
        ("pdq", HALF, 101),
        ("pdq", HALF, -1),
        ("md5", "0f" * 16, 80),
    ],
)
def test_malformed_ones_are_refused(algorithm: str, value: str, quality: int | None) -> None:
    with pytest.raises(MalformedFingerprint):
        parse_fingerprint(algorithm, value, quality)


@pytest.mark.parametrize("orientation", ["sideways", ""])
def test_unknown_words_are_refused(orientation: str) -> None:
    with pytest.raises(MalformedFingerprint, match="orientation is one of identity"):
        parse_fingerprint("pdq", HALF, orientation=orientation)
    with pytest.raises(MalformedFingerprint, match="origin is one of"):
        parse_fingerprint("pdq", HALF, origin=orientation)


def pdq_with(bits: int) -> str:
    return f"{(1 << bits) - 1:064x}"


@pytest.mark.parametrize(
    ("bits", "fits"), [(0, False), (31, False), (32, True), (224, True), (225, False), (256, False)]
)
def test_a_pdq_with_hardly_any_or_nearly_all_bits_is_degenerate(bits: int, fits: bool) -> None:
    if fits:
        assert parse_fingerprint("pdq", pdq_with(bits)).hex == pdq_with(bits)
    else:
        with pytest.raises(DegenerateFingerprint):
            parse_fingerprint("pdq", pdq_with(bits))


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
        ("sha1", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"),
        ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("pdq", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("md5", "0" * 32),
        ("sha1", "f" * 40),
        ("sha256", "0" * 64),
    ],
)
def test_hashes_of_nothing_are_degenerate(algorithm: str, value: str) -> None:
    with pytest.raises(DegenerateFingerprint):
        parse_fingerprint(algorithm, value)


@pytest.mark.parametrize(("quality", "fits"), [(None, True), (49, False), (50, True), (100, True), (0, False)])
def test_quality_is_held_to_the_minimum_where_it_is_known(quality: int | None, fits: bool) -> None:
    if fits:
        assert parse_fingerprint("pdq", HALF, quality, min_quality=50).quality == quality
    else:
        with pytest.raises(LowQuality, match=str(quality)):
            parse_fingerprint("pdq", HALF, quality, min_quality=50)
    assert parse_fingerprint("pdq", HALF, quality).quality == quality


def test_a_reference_is_the_keyed_digest_of_algorithm_and_value() -> None:
    one = parse_fingerprint("sha256", HALF)
    expected = hmac.new(b"key", b"sha256" + bytes.fromhex(HALF), hashlib.sha256).hexdigest()
    assert fingerprint_ref(b"key", one) == expected
    assert fingerprint_ref(b"other", one) != expected
    assert fingerprint_ref(b"key", parse_fingerprint("pdq", HALF)) != expected
    turned = parse_fingerprint("pdq", HALF, 80, orientation="mirror", origin="variant")
    assert fingerprint_ref(b"key", turned) == fingerprint_ref(b"key", parse_fingerprint("pdq", HALF))


def test_a_value_is_never_printed() -> None:
    one = parse_fingerprint("pdq", HALF, 80)
    assert HALF[:8] not in f"{one} {one!r}"


@settings(max_examples=60)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_hamming_is_a_distance(one: bytes, other: bytes) -> None:
    assert hamming(one, one) == 0
    assert hamming(one, other) == hamming(other, one) == bin(int.from_bytes(one) ^ int.from_bytes(other)).count("1")
    derived = derive_orientations(one)
    assert derived[Orientation.IDENTITY] == one
    assert derive_orientations(derived[Orientation.MIRROR])[Orientation.MIRROR] == one


def test_unequal_lengths_have_no_distance() -> None:
    with pytest.raises(ValueError, match="no distance"):
        hamming(b"ab", b"a")
    with pytest.raises(ValueError, match="32 bytes"):
        derive_orientations(b"ab")


def test_a_pydantic_model_reports_it_as_a_validation_error() -> None:
    class Given(BaseModel):
        algorithm: str
        value: str

        @model_validator(mode="after")
        def _parses(self) -> Given:
            parse_fingerprint(self.algorithm, self.value)
            return self

    assert Given(algorithm="pdq", value=HALF)
    with pytest.raises(ValidationError, match="degenerate"):
        Given(algorithm="pdq", value="0" * 64)


@pytest.mark.parametrize(
    ("algorithm", "exact", "distance"), [("pdq", False, 31), ("md5", True, 0), ("sha256", True, 0)]
)
def test_what_agreeing_means(algorithm: str, exact: bool, distance: int) -> None:
    assert (Algorithm(algorithm).exact, Algorithm(algorithm).max_distance) == (exact, distance)


def test_a_fingerprint_is_a_value() -> None:
    one = Fingerprint(algorithm=Algorithm.MD5, value=bytes(range(16)))
    assert {one} == {parse_fingerprint("md5", bytes(range(16)).hex())}
