"""PDQ of 1080p JPEG photographs: at a smaller scale, in full, and `pdqhash` in full, each picture by each in one run.

    make bench-pdq                  writes its section of docs/performance.md
    make bench-pdq ARGS=--json      one JSON object a way; nothing is written

One thread; seconds of processor time, from the file's bytes to the hashes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the decoding child; read when numpy is imported

import numpy as np
from PIL import Image

from bench.document import replace_section
from bench.pictures import environment, fitted, has_peer, jpeg, photographs
from shared.media.fingerprints import Orientation, hamming
from shared.media.image import Look, look_at
from shared.media.pdq import luma_of, pdq_of_luma, to_rgb

MAX_PIXELS = 40_000_000
DRIFT_SIDES = (2200, 1280, 900)
DRIFT_QUALITIES = (30, 85)


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    milliseconds: list[float]


def full_hd(picture: Image.Image) -> bytes:
    """1920 x 1080, cut from the middle."""
    wide = picture if picture.width >= picture.height else picture.transpose(Image.Transpose.ROTATE_90)
    factor = max(1920 / wide.width, 1080 / wide.height)
    large = wide.resize((round(wide.width * factor) + 1, round(wide.height * factor) + 1), Image.Resampling.LANCZOS)
    return jpeg(large.crop((0, 0, 1920, 1080)), 88)


def only_identity(body: bytes) -> Any:
    import io

    with Image.open(io.BytesIO(body)) as picture:
        return pdq_of_luma(luma_of(np.asarray(to_rgb(picture))))


def timed(bodies: list[bytes], call: Callable[[bytes], object]) -> list[float]:
    call(bodies[0])
    times = []
    for body in bodies:
        start = time.process_time()
        call(body)
        times.append((time.process_time() - start) * 1e3)
    return times


def look(body: bytes, *, reduced: bool) -> Look:
    return look_at(body, max_pixels=MAX_PIXELS, reduced=reduced)


def drifts(pictures: list[Image.Image]) -> Iterator[tuple[int, int]]:
    """(bits, quality) between the smaller scale and the full one, for pictures of quality 50 or more, in each orientation."""
    for picture in pictures:
        for longer in DRIFT_SIDES:
            for quality in DRIFT_QUALITIES:
                body = jpeg(fitted(picture, longer), quality)
                smaller = look(body, reduced=True)
                if not smaller.reduced:
                    continue
                full = look(body, reduced=False).views[0]
                if full[Orientation.IDENTITY][1] < 50:
                    continue
                for turned, (value, good) in smaller.views[0].items():
                    yield hamming(value, full[turned][0]), abs(good - full[turned][1])


def at_once_drifts(pictures: list[Image.Image]) -> Iterator[int]:
    """Bits between the hash in one pass and the reference's arithmetic on the turned pixels."""
    from shared.media.pdq import hash_orientations
    from shared.media.pdq_orientations import turned_hashes

    for picture in pictures:
        pixels = np.asarray(fitted(picture, 800))
        at_once = turned_hashes(luma_of(pixels))
        for turned, (value, _) in hash_orientations(pixels, tuple(Orientation)).items():
            yield hamming(at_once[turned][0], value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="make bench-pdq", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a way; nothing is written")
    as_json = parser.parse_args().json
    python = environment()
    pictures = [picture for _, picture in photographs(python)]
    bodies = [full_hd(picture) for picture in pictures]
    ways = [
        Way("ours, smaller scale, eight orientations", timed(bodies, lambda body: look(body, reduced=True))),
        Way("ours, full, one orientation", timed(bodies, only_identity)),
        Way("ours, full, eight orientations", timed(bodies, lambda body: look(body, reduced=False))),
    ]
    agree = "`pdqhash` could not be built here; ratios are against ours in full."
    base = median(ways[1].milliseconds)
    if has_peer(python):
        with tempfile.TemporaryDirectory() as folder:
            for number, body in enumerate(bodies):
                (Path(folder) / f"{number:03}.jpg").write_bytes(body)
            script = Path(__file__).with_name("fingerprinting_peer.py")
            told = json.loads(
                subprocess.run([str(python), str(script), folder], check=True, capture_output=True).stdout
            )
        rows = [told[name] for name in sorted(told)]
        ways.append(Way("pdqhash, full, one orientation", [row["seconds"] * 1e3 for row in rows]))
        base = median(ways[-1].milliseconds)
        far = [
            hamming(only_identity(body)[0], bytes.fromhex(row["pdq"])) for body, row in zip(bodies, rows, strict=True)
        ]
        agree = f"Ours in full and `pdqhash` agree bit for bit in {far.count(0)} of {len(far)} (decoders may differ in version)."
    if as_json:
        for way in ways:
            middle = median(way.milliseconds)
            print(json.dumps({"way": way.name, "median_ms": middle, "times_the_peer": base / middle}))
        return
    bits, quality = zip(*drifts(pictures), strict=True)
    write(ways, base, agree, Counter(bits), max(quality), Counter(at_once_drifts(pictures)), len(pictures))


def write(
    ways: list[Way], base: float, agree: str, drift: Counter[int], quality: int, at_once: Counter[int], count: int
) -> None:
    lines = [
        "## Fingerprinting",
        "",
        f"Made by `make bench-pdq`; do not edit. {count} photographs as 1920 x 1080 JPEG, from the file's bytes to the hashes, on one",
        f"thread, in processor time, one run. {agree}",
        "",
        "| | median, ms | pictures/s | times the last row |",
        "|---|---|---|---|",
    ]
    for way in ways:
        middle = median(way.milliseconds)
        lines.append(f"| {way.name} | {middle:.1f} | {1e3 / middle:.0f} | {base / middle:.1f} x |")
    lines += [
        "",
        f"How far the smaller scale is from the full one, over {sum(drift.values())} hashes (JPEG quality 30 to 95, longer side 900 to",
        f"2600, eight orientations, shorter side at least 256 after decoding); quality differed by {quality} at most:",
        "",
        "| bits | " + " | ".join(map(str, sorted(drift))) + " |",
        "|---|" + "---|" * len(drift),
        "| hashes | " + " | ".join(str(drift[bits]) for bits in sorted(drift)) + " |",
        "",
        "How far eight orientations in one pass are from the reference's arithmetic on the turned pixels: "
        + ", ".join(f"{bits} bits in {at_once[bits]}" for bits in sorted(at_once))
        + f" of {sum(at_once.values())} hashes.",
    ]
    text = "\n".join(lines)
    print(text, file=sys.stdout)
    replace_section("fingerprinting", text)


if __name__ == "__main__":
    main()
