"""What PDQ still finds of a copy: turned (by the hashes of true pixels, and by orientations derived from bits alone), and edited.

    make bench-orientations

On photographs that packages ship. Writes its section of `docs/performance.md`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from bench.document import replace_section
from bench.pictures import environment, fitted, jpeg, photographs
from services.matcher.index.pdq_index import ChunkedPdqIndex
from shared.media.fingerprints import Orientation, derive_orientations, hamming
from shared.media.pdq import luma_of, to_rgb
from shared.media.pdq_orientations import turned_hashes

TURNS = {
    Orientation.MIRROR: Image.Transpose.FLIP_LEFT_RIGHT,
    Orientation.FLIP: Image.Transpose.FLIP_TOP_BOTTOM,
    Orientation.ROTATE90: Image.Transpose.ROTATE_90,
    Orientation.ROTATE180: Image.Transpose.ROTATE_180,
    Orientation.ROTATE270: Image.Transpose.ROTATE_270,
    Orientation.TRANSPOSE: Image.Transpose.TRANSPOSE,
    Orientation.TRANSVERSE: Image.Transpose.TRANSVERSE,
}
REGISTER = 200_000
QUERIES = 400


def hashes(picture: Image.Image) -> dict[Orientation, bytes]:
    return {turned: pdq for turned, (pdq, _) in turned_hashes(luma_of(np.asarray(to_rgb(picture)))).items()}


def reencoded(picture: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(jpeg(picture, quality)))


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """This share of each side cut away, half at either end."""
    left, top = round(picture.width * share / 2), round(picture.height * share / 2)
    return picture.crop((left, top, picture.width - left, picture.height - top))


def captioned(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    height = picture.height
    draw = ImageDraw.Draw(copy)
    draw.rectangle((0, height * 0.85, picture.width, height * 0.97), fill="black")
    draw.text((picture.width * 0.1, height * 0.87), "any words at all", fill="white", font_size=max(8, height * 0.07))
    return copy


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded, JPEG quality 30": lambda picture: reencoded(picture, 30),
    "resized to a third": lambda picture: fitted(picture, max(picture.size) // 3),
    "5 % of each side cropped": lambda picture: cropped(picture, 0.05),
    "10 % of each side cropped": lambda picture: cropped(picture, 0.10),
    "a border of 5 %": lambda picture: ImageOps.expand(picture, round(0.05 * max(picture.size)), "white"),
    "a caption over 12 %": captioned,
    "brighter by 30 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "turned by 5 degrees": lambda picture: picture.rotate(5, Image.Resampling.BICUBIC),
}


def row(name: str, *columns: list[int]) -> str:
    cells = []
    for distances in columns:
        within = [sum(one <= limit for one in distances) / len(distances) for limit in (31, 10)]
        cells.append(f"{sum(distances) / len(distances):.1f} | {max(distances)} | {within[0]:.0%} | {within[1]:.0%}")
    return f"| {name} | " + " | ".join(cells) + " |"


def query_cost() -> tuple[float, float]:
    """Microseconds for one sighting's value: alone, and with its seven derived ones."""
    random = np.random.default_rng(1)
    index = ChunkedPdqIndex()
    index.add_many(np.arange(REGISTER), random.integers(0, 256, (REGISTER, 32), dtype=np.uint8))
    values = random.integers(0, 256, (QUERIES, 32), dtype=np.uint8)
    index.query(values)
    start = time.process_time()
    index.query(values)
    alone = time.process_time() - start
    start = time.process_time()
    derived = [derive_orientations(value.tobytes()).values() for value in values]
    index.query(np.frombuffer(b"".join(one for some in derived for one in some), dtype=np.uint8).reshape(-1, 32))
    return alone / QUERIES * 1e6, (time.process_time() - start) / QUERIES * 1e6


def main() -> None:
    pictures = [fitted(picture, 1200) for _, picture in photographs(environment())]
    known = [hashes(picture) for picture in pictures]
    lines = [
        "## Orientations and edits",
        "",
        f"Made by `make bench-orientations`; do not edit. {len(pictures)} photographs, longer side 1200. A copy is",
        "turned and re-encoded (JPEG quality 85), or edited; distances are to the original. *True*: the copy's pixels turned back and",
        "hashed, as reports and checks do. *Derived*: from the bits of the copy's hash alone.",
        "Columns: mean, greatest, share within 31 bits and within 10.",
        "",
        "| copy | true: mean | max | <= 31 | <= 10 | derived: mean | max | <= 31 | <= 10 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for turned, transpose in TURNS.items():
        true, derived = [], []
        for picture, original in zip(pictures, known, strict=True):
            copy = hashes(reencoded(picture.transpose(transpose), 85))
            true.append(hamming(copy[turned.opposite], original[Orientation.IDENTITY]))
            bits = derive_orientations(copy[Orientation.IDENTITY])[turned.opposite]
            derived.append(hamming(bits, original[Orientation.IDENTITY]))
        lines.append(row(turned.value, true, derived))
    lines += ["", "| edit | mean | max | <= 31 | <= 10 |", "|---|---|---|---|---|"]
    for name, edit in EDITS.items():
        distances = [
            hamming(hashes(edit(picture))[Orientation.IDENTITY], original[Orientation.IDENTITY])
            for picture, original in zip(pictures, known, strict=True)
        ]
        lines.append(row(name, distances))
    nearest = min(
        hamming(value, other[Orientation.IDENTITY])
        for place, one in enumerate(known)
        for other in known[place + 1 :]
        for value in one.values()
    )
    alone, with_derived = query_cost()
    lines += [
        "",
        f"The nearest two of different photographs, in any orientation, are {nearest} bits apart (some show one motif).",
        f"One value looked up among {REGISTER:,} entries costs {alone:.0f} µs,",
        f"with its derived orientations {with_derived:.0f} µs ({with_derived / alone:.1f} x).",
    ]
    text = "\n".join(lines)
    print(text)
    replace_section("orientations", text)


if __name__ == "__main__":
    main()
