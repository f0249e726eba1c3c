"""A reported picture that holds another one: the sighting has the values of what lies within it."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from shared.media.fingerprints import hamming
from shared.media.pdq import pdq_hash
from tests.integration.intake.harness import Intake, Member
from tests.integration.intake.reports.pictures_site import Site, in_state, report, sightings
from tests.integration.shared.media.pictures import encoded, picture


async def test_a_reported_picture_with_a_border_is_known_by_what_lies_within(
    intake: Intake, site: Site, ann: Member
) -> None:
    inner = picture(640, 480)
    site.pages["/framed.jpg"] = (200, "image/jpeg", encoded(ImageOps.expand(inner, 70, "black"), "JPEG"))
    report_id = await report(intake, ann, site.url("/framed.jpg"))
    await in_state(intake, ann, report_id, "fetched")
    (seen,) = await sightings(intake)
    value, _ = pdq_hash(Image.open(io.BytesIO(encoded(inner, "JPEG"))))
    distances = [hamming(bytes.fromhex(one.value), value) for one in seen.fingerprints if one.algorithm == "pdq"]
    assert min(distances) <= 10
    assert 11 < len(seen.fingerprints) <= 40
