"""What is found of pictures put up again in another guise: by the whole picture, and by its views; and what looking for views costs.

    make bench-reach [ARGS="--pictures 8 --json"]

On photographs that packages ship, under the packages' licences: scikit-image (BSD), scikit-learn (BSD; two pictures CC BY 2.0), gradio
(Apache 2.0). Each family of edits (`bench/reach/edits.py`) makes one copy of each, seeded,
which is then a JPEG. Its values are also compared with all *other* photographs: any that agrees would be a wrong demand.
Writes its section of `docs/performance.md`, unless told how many pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from random import Random

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from PIL import Image

from bench.document import replace_section
from bench.pictures import environment, fitted, jpeg, photographs
from bench.reach.edits import FAMILIES
from shared.media.fingerprinter import DEFAULT_LIMITS
from shared.media.fingerprints import PDQ_MAX_DISTANCE, PDQ_MIN_QUALITY, distances
from shared.media.image import look_at
from shared.media.pdq import pdq_hash
from shared.media.views.finding import views_of
from shared.media.views.hashing import small_plane
from shared.policy import Policy

LONGER_SIDE = 900
TWINS = ("motorcycle_right.png",)
"""The other half of a stereo pair."""
PROBABLE = Policy().max_distance_probable
FULL_HD = (1920, 1080)
OTHERS = 5
TRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyFound:
    """Of one family: the share of copies within 31 bits and within 50, by the whole picture and by any view."""

    name: str
    whole: float
    views: float
    whole_probable: float
    views_probable: float


@dataclass(slots=True, kw_only=True)
class Unrelated:
    """`queries`: values of copies compared with photographs that are not in them."""

    queries: int = 0
    pairs: int = 0
    agreeing: int = 0
    probable: int = 0
    nearest: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Milliseconds of processor at 1080p: medians over the photographs, of each the least of some tries."""

    finding: float
    look: float
    look_with_views: float
    views: float


@dataclass(slots=True, kw_only=True)
class Reach:
    pictures: list[str]
    families: list[FamilyFound] = field(default_factory=list)
    unrelated: Unrelated = field(default_factory=Unrelated)
    cost: Cost | None = None

    def mean(self, column: str) -> float:
        return float(np.mean([getattr(one, column) for one in self.families]))


def values_of(body: bytes) -> tuple[list[bytes], list[bytes]]:
    """The values of the whole picture, and those of its parts, in all orientations."""
    look = look_at(body, max_pixels=DEFAULT_LIMITS.max_pixels, reduced=False, parts=True)
    whole = [value for view in look.views for value, quality in view.values() if quality >= PDQ_MIN_QUALITY]
    return whole, [value for part in look.parts for value, _ in part.hashes.values()]


def least(values: Sequence[bytes], content: bytes) -> int:
    return int(distances(values, [content]).min()) if values else 256


def measure(named: Sequence[tuple[str, Image.Image]]) -> Reach:
    pictures = [fitted(picture, LONGER_SIDE) if max(picture.size) > LONGER_SIDE else picture for _, picture in named]
    contents = [pdq_hash(picture)[0] for picture in pictures]
    reach = Reach(pictures=[name for name, _ in named])
    for name, edit in FAMILIES.items():
        found = []
        for number, picture in enumerate(pictures):
            random = Random(f"{name} {number}")
            beside = random.sample([one for one in range(len(pictures)) if one != number], OTHERS)
            copy = edit(picture, random, [pictures[one] for one in beside])
            whole, parts = values_of(jpeg(copy, random.randint(60, 92)))
            found.append((least(whole, contents[number]), least([*whole, *parts], contents[number])))
            shown = {number, *beside} if "collage" in name else {number}
            others = [value for one, value in enumerate(contents) if one not in shown]
            count(reach.unrelated, [*whole, *parts], others)
        shares = np.array(found)
        reach.families.append(
            FamilyFound(
                name=name,
                whole=float((shares[:, 0] <= PDQ_MAX_DISTANCE).mean()),
                views=float((shares[:, 1] <= PDQ_MAX_DISTANCE).mean()),
                whole_probable=float((shares[:, 0] <= PROBABLE).mean()),
                views_probable=float((shares[:, 1] <= PROBABLE).mean()),
            )
        )
    reach.cost = cost(pictures)
    return reach


def count(unrelated: Unrelated, values: Sequence[bytes], others: Sequence[bytes]) -> None:
    if not values or not others:
        return
    found = distances(values, others)
    unrelated.queries += len(values)
    unrelated.pairs += found.size
    unrelated.agreeing += int((found.min(axis=1) <= PDQ_MAX_DISTANCE).sum())
    unrelated.probable += int((found.min(axis=1) <= PROBABLE).sum())
    unrelated.nearest = min(unrelated.nearest, int(found.min()))


def cost(pictures: Sequence[Image.Image]) -> Cost:
    bodies = [jpeg(picture.resize(FULL_HD, Image.Resampling.LANCZOS)) for picture in pictures]
    times, parts = [], []
    for body, picture in zip(bodies, pictures, strict=True):
        plane = small_plane(picture.resize(FULL_HD))
        tries = []
        for _ in range(TRIES):
            start = time.process_time()
            views_of(plane)
            found = time.process_time()
            look_at(body, max_pixels=DEFAULT_LIMITS.max_pixels, reduced=False)
            looked = time.process_time()
            look = look_at(body, max_pixels=DEFAULT_LIMITS.max_pixels, reduced=False, parts=True)
            tries.append((found - start, looked - found, time.process_time() - looked))
        times.append(np.array(tries).min(axis=0))
        parts.append(len(look.parts))
    finding, alone, with_views = (1000 * np.median(np.array(times), axis=0)).tolist()
    return Cost(finding=finding, look=alone, look_with_views=with_views, views=float(np.mean(parts)))


def document(reach: Reach) -> str:
    unrelated, spent = reach.unrelated, reach.cost
    assert spent is not None
    said = (
        f"Made by `make bench-reach`; do not edit. {len(reach.pictures)} photographs that packages ship (`bench/pictures.py`), longer side"
        f" at most {LONGER_SIDE}; {len(reach.families)} families of edits (`bench/reach/edits.py`), one seeded copy of each photograph"
        " in each, as a JPEG of quality 60 to 92. The register has one value of each original. *Whole*: PDQ of the whole picture in all"
        " orientations."
        " *Views*: with the parts that a check looks at. What was cropped is found by variants of what is registered, not by views."
    )
    apart = (
        f"Of {unrelated.queries:,} values of copies against photographs that are not in them ({unrelated.pairs:,} pairs)"
        f" {unrelated.agreeing} were within 31 bits and {unrelated.probable} within 50; the nearest was {unrelated.nearest} bits away."
    )
    takes = (
        f"At 1080p finding the views takes {spent.finding:.1f} ms of processor; a look at a JPEG {spent.look:.0f} ms, with its"
        f" {spent.views:.0f} views {spent.look_with_views:.0f} ms."
    )
    means = (f"**{reach.mean(one):.1%}**" for one in ("whole", "views", "whole_probable", "views_probable"))
    rows = (
        f"| {one.name} | {one.whole:.0%} | {one.views:.0%} | {one.whole_probable:.0%} | {one.views_probable:.0%} |"
        for one in reach.families
    )
    return "\n".join(
        (
            "## Copies in another guise",
            "",
            *textwrap.wrap(said, 140),
            "",
            "| copy | whole, <= 31 | views, <= 31 | whole, <= 50 | views, <= 50 |",
            "|---|---|---|---|---|",
            *rows,
            f"| **mean** | {' | '.join(means)} |",
            "",
            *textwrap.wrap(apart, 140),
            "",
            *textwrap.wrap(takes, 140),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.reach", description=__doc__)
    parser.add_argument("--pictures", type=int, default=None, help="how many photographs, 6 or more; default: all")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    asked = parser.parse_args()
    named = [
        (name, picture)
        for name, picture in photographs(environment())
        if name not in TWINS and pdq_hash(picture)[1] >= PDQ_MIN_QUALITY
    ][: asked.pictures]
    reach = measure(named)
    print(json.dumps(asdict(reach)) if asked.json else document(reach))
    if asked.pictures is None:
        replace_section("reach", document(reach))


if __name__ == "__main__":
    main()
