"""What a viewer may see of a file, beyond its first pixels; and decoding at a smaller scale, which a forged file can fool."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from PIL import Image

from shared.media.fingerprinter import Fingerprinter, MediaFingerprints, Reason, Undecodable
from shared.media.fingerprints import PDQ_MAX_DISTANCE, Algorithm, Fingerprint, Orientation, hamming
from shared.media.pdq import pdq_hash
from tests.integration.shared.media.pictures import encoded, picture

FLAT = Image.new("RGB", (320, 240), "grey")


@pytest.fixture
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1) as one:
        yield one


def shows(media: MediaFingerprints, image: Image.Image) -> bool:
    """Whether one of its fingerprints agrees with this picture, as it is."""
    value, _ = pdq_hash(image)
    return any(
        one.algorithm is Algorithm.PDQ
        and (one.quality or 0) >= 50
        and one.orientation is Orientation.IDENTITY
        and hamming(one.value, value) <= PDQ_MAX_DISTANCE
        for one in media.fingerprints()
    )


def animated(form: str, frames: list[Image.Image], **options: object) -> bytes:
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100, **options)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
async def test_a_picture_behind_a_first_frame_is_seen(fingerprinter: Fingerprinter, form: str) -> None:
    media = await fingerprinter.fingerprint(animated(form, [FLAT, picture(), picture(seed=2)]))
    assert shows(media, picture())
    assert shows(media, picture(seed=2))
    assert not shows(media, picture(seed=3))
    assert media.all_seen


async def test_a_picture_behind_the_fallback_of_an_animated_png_is_seen(fingerprinter: Fingerprinter) -> None:
    body = animated("PNG", [FLAT, picture(), picture(seed=2)], default_image=True)
    assert shows(await fingerprinter.fingerprint(body), picture())


async def test_of_a_long_animation_some_frames_are_seen_and_it_is_said(fingerprinter: Fingerprinter) -> None:
    frames = [picture(64, 64, seed) for seed in range(120)]
    media = await fingerprinter.fingerprint(animated("GIF", frames))
    assert shows(media, frames[0])
    assert shows(media, frames[31])
    assert shows(media, frames[112])
    assert not media.complete
    assert not media.all_seen


async def test_a_sighting_holds_the_first_view_whole_and_some_of_the_others(fingerprinter: Fingerprinter) -> None:
    media = await fingerprinter.fingerprint(animated("GIF", [picture(64, 64, seed) for seed in range(12)]))
    assert len(media.views) == 12
    assert len(media.fingerprints()) == 12 * 8 + 3
    some = media.fingerprints(at_most=20)
    assert len(some) == 3 + 8 + 2 * 4
    assert {one.orientation for one in some} == set(Orientation)
    assert {one.algorithm for one in some} == {Algorithm.PDQ, Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256}
    assert len({one.value for one in some}) == len(some)
    assert set(some) <= set(media.fingerprints())


async def test_a_symmetric_picture_has_each_value_once(fingerprinter: Fingerprinter) -> None:
    half = np.asarray(picture(64, 64))
    both = Image.fromarray(np.concatenate((half, half[:, ::-1]), axis=1))
    values = [one.value for one in (await fingerprinter.fingerprint(encoded(both, "PNG"))).fingerprints()]
    assert len(values) == len(set(values))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("colour", ["black", "white"])
async def test_a_picture_drawn_in_the_alpha_channel_is_seen(
    fingerprinter: Fingerprinter, form: str, colour: str
) -> None:
    """Without its alpha it is one flat colour; on a page it is the picture."""
    grey = picture().convert("L")
    layer = Image.new("RGB", grey.size, colour)
    layer.putalpha(grey if colour == "white" else Image.eval(grey, lambda value: 255 - value))
    options: dict[str, object] = {"lossless": True, "exact": True} if form == "WEBP" else {}
    media = await fingerprinter.fingerprint(encoded(layer, form, **options))
    assert media.quality == 0
    assert shows(media, grey.convert("RGB"))


async def test_what_lies_under_transparent_pixels_is_seen_as_well(fingerprinter: Fingerprinter) -> None:
    """Hashes from elsewhere are of the colours, alpha dropped."""
    layer = picture()
    layer.putalpha(0)
    assert shows(await fingerprinter.fingerprint(encoded(layer, "PNG")), picture())


async def test_an_opaque_alpha_channel_adds_nothing(fingerprinter: Fingerprinter) -> None:
    layer = picture()
    layer.putalpha(255)
    assert len((await fingerprinter.fingerprint(encoded(layer, "PNG"))).views) == 1


@pytest.mark.parametrize("tag", range(1, 9))
async def test_a_picture_is_known_as_it_is_shown_and_as_it_is_stored(fingerprinter: Fingerprinter, tag: int) -> None:
    """EXIF turns are among the eight orientations: other tools hash what is stored."""
    exif = Image.Exif()
    exif[0x0112] = tag
    media = await fingerprinter.fingerprint(encoded(picture(), "JPEG", exif=exif, quality=95))
    stored, _ = pdq_hash(picture())
    distances = [hamming(value, stored) for value, _ in media.views[0].values()]
    assert min(distances) <= 10


# --- at a smaller scale --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "reduced"), [((511, 2000), False), ((512, 700), True), ((1920, 1080), True)])
async def test_a_large_jpeg_may_be_decoded_smaller(
    fingerprinter: Fingerprinter, size: tuple[int, int], reduced: bool
) -> None:
    body = encoded(picture(*size), "JPEG", quality=85)
    whole, quick = await fingerprinter.fingerprint(body), await fingerprinter.fingerprint(body, reduced=True)
    assert (whole.reduced, quick.reduced) == (False, reduced)
    assert (quick.width, quick.height, quick.format, quick.sha256) == (*size, "JPEG", whole.sha256)
    for orientation in Orientation:
        assert hamming(whole.views[0][orientation][0], quick.views[0][orientation][0]) <= 4
        assert abs(whole.views[0][orientation][1] - quick.views[0][orientation][1]) <= 2


async def test_what_is_no_upright_colour_jpeg_is_decoded_whole(fingerprinter: Fingerprinter) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for body in (
        encoded(picture(900, 700), "PNG"),
        encoded(picture(900, 700).convert("CMYK"), "JPEG"),
        encoded(picture(900, 700), "JPEG", exif=exif),
    ):
        assert not (await fingerprinter.fingerprint(body, reduced=True)).reduced
        assert (await fingerprinter.fingerprint(body, reduced=True)) == await fingerprinter.fingerprint(body)


async def test_a_jpeg_cut_short_is_not_taken_for_whole(fingerprinter: Fingerprinter) -> None:
    whole = encoded(picture(1920, 1080), "JPEG")
    media = await fingerprinter.fingerprint(whole[: len(whole) // 2], reduced=True)
    assert (media.partial, media.reduced) == (True, False)


def with_factors(jpeg: bytes, factor: int) -> bytes:
    """The JPEG with all but the first of its quantisation factors (ITU-T T.81, B.2.4.1) multiplied: what is cut off at black and
    white then differs between the full scale and a smaller one."""
    forged, place = bytearray(jpeg), 2
    while forged[place + 1] != 0xDA:
        length = int.from_bytes(forged[place + 2 : place + 4])
        if forged[place + 1] == 0xDB:
            for table in range(place + 4, place + 2 + length, 65):
                for number in range(table + 2, table + 65):
                    forged[number] = min(255, forged[number] * factor)
        place += 2 + length
    return bytes(forged)


def forged_jpeg() -> bytes:
    """Near one picture at a smaller scale, and another one for whoever looks at it."""
    shape = (1080, 1920)
    grey = np.asarray(picture(1920, 1080), dtype=float).mean(axis=2) * 0.5 + 64
    strength = np.asarray(picture(1920, 1080, seed=9).convert("L"), dtype=float) / 255
    fine = np.indices(shape).sum(axis=0) % 2 * 2 - 1
    pixels = np.clip(grey + fine * strength * 60, 0, 255).astype(np.uint8)
    return with_factors(encoded(Image.fromarray(pixels).convert("RGB"), "JPEG", quality=90, subsampling=0), 4)


async def test_two_scales_of_a_forged_file_are_two_pictures(fingerprinter: Fingerprinter) -> None:
    """Why a look at a smaller scale never says that something is not there."""
    body = forged_jpeg()
    whole, quick = await fingerprinter.fingerprint(body), await fingerprinter.fingerprint(body, reduced=True)
    assert quick.reduced
    assert hamming(whole.pdq, quick.pdq) > PDQ_MAX_DISTANCE


# --- attacks on the decoder ----------------------------------------------------------------------------------------------


async def test_a_jpeg_of_endless_scans_is_refused_at_once(fingerprinter: Fingerprinter) -> None:
    body = encoded(picture(), "JPEG", progressive=True)
    last = body.rfind(b"\xff\xda")
    scan = body[last : body.rfind(b"\xff\xd9")]
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(body[:last] + scan * 500 + b"\xff\xd9")
    assert caught.value.reason is Reason.TOO_MANY_SCANS
    assert not caught.value.no_media
    assert shows(await fingerprinter.fingerprint(body), picture())


def test_a_fingerprint_of_a_view_names_its_orientation() -> None:
    view = {orientation: (bytes([number + 1]) * 32, 90) for number, orientation in enumerate(Orientation)}
    media = MediaFingerprints(
        views=(view,), md5=b"m" * 16, sha1=b"s" * 20, sha256=b"t" * 32, width=9, height=9, format="PNG"
    )
    assert Fingerprint(
        algorithm=Algorithm.PDQ, value=bytes([2]) * 32, quality=90, orientation=Orientation.ROTATE90
    ) in (media.fingerprints())
