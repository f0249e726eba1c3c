"""The browser's PDQ beside `shared`'s, on the same pixels: run by the engine that comes with Playwright, without a browser."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.media.pdq import pdq_hash, to_rgb

PDQ = Path(__file__).parents[3] / "services/console/static/pdq.js"
PICTURES = sorted((Path(__file__).parents[2] / "data/pdq").glob("*.png"))

_SCRIPT = """
import { pdqOf } from %s;
import fs from "node:fs";
const asked = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.map(([file, width, height]) => pdqOf(fs.readFileSync(file), width, height))));
"""


def in_the_browser(tmp_path: Path, pictures: list[np.ndarray]) -> list[tuple[str, int]]:
    from playwright._impl._driver import compute_driver_executable

    asked = []
    for place, pixels in enumerate(pictures):
        file = tmp_path / f"{place}.rgba"
        file.write_bytes(np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]).tobytes())
        asked.append((str(file), pixels.shape[1], pixels.shape[0]))
    script = tmp_path / "run.mjs"
    script.write_text(_SCRIPT % json.dumps(PDQ.as_uri()))
    engine = compute_driver_executable()[0]
    done = subprocess.run([engine, script], input=json.dumps(asked), capture_output=True, text=True, check=True)
    return [(one["hex"], one["quality"]) for one in json.loads(done.stdout)]


def test_the_same_pixels_have_the_same_hash(tmp_path: Path) -> None:
    assert len(PICTURES) >= 30
    pictures = [np.asarray(to_rgb(Image.open(file))) for file in PICTURES]
    random = np.random.default_rng(5)
    pictures += [
        random.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((64, 64), (5, 900), (301, 77))
    ]
    expected = [pdq_hash(pixels) for pixels in pictures]
    for (hexadecimal, quality), (value, sure) in zip(in_the_browser(tmp_path, pictures), expected, strict=True):
        assert (hexadecimal, quality) == (value.hex(), sure)


@pytest.mark.parametrize("shape", [(4, 4), (1, 300), (300, 2)])
def test_a_picture_too_small_has_no_hash(tmp_path: Path, shape: tuple[int, int]) -> None:
    [(hexadecimal, quality)] = in_the_browser(tmp_path, [np.zeros((*shape, 3), np.uint8)])
    assert (hexadecimal, quality) == ("0" * 64, 0)
