"""Makes the pictures of this folder and asks `pdqhash` for their hashes: `python tests/data/pdq/generate.py`.

Needs numpy, Pillow and `pdqhash` (no Linux wheel: a C++ compiler), in an environment of its own; the tests need none of
that, they read the committed pictures and `table.json`. The conversion to RGB is written out here a second time on purpose:
the table is an oracle of the whole way from the file to the hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pdqhash  # type: ignore[import-not-found,import-untyped,unused-ignore]  # not among our dependencies, see above
from PIL import Image

HERE = Path(__file__).parent
Array = npt.NDArray[Any]


# --- content: float64[height, width] in 0..1 ---


def clouds(rng: np.random.Generator, height: int, width: int, cells: int = 6) -> Array:
    """Smooth noise in three octaves, like a photograph's large shapes."""
    total = np.zeros((height, width))
    for octave in range(3):
        size = max(2, cells << octave)
        coarse = Image.fromarray(rng.random((size, size)).astype(np.float32), "F")
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    scaled: Array = (total - total.min()) / max(float(np.ptp(total)), 1e-9)
    return scaled


def noise(rng: np.random.Generator, height: int, width: int) -> Array:
    return rng.random((height, width))


def gradient(rng: np.random.Generator, height: int, width: int) -> Array:
    return np.add.outer(np.linspace(0, 0.3, height), np.linspace(0, 0.7, width))


def checks(rng: np.random.Generator, height: int, width: int) -> Array:
    return ((np.arange(height)[:, None] // 9 + np.arange(width)[None, :] // 13) % 2).astype(float)


def blocks(rng: np.random.Generator, height: int, width: int) -> Array:
    """Overlapping rectangles: hard edges, as on a page of text."""
    plane = np.full((height, width), 0.9)
    for _ in range(40):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        plane[top : top + height // 7 + 1, left : left + width // 5 + 1] = rng.random()
    return plane


def flat(rng: np.random.Generator, height: int, width: int) -> Array:
    return np.full((height, width), 0.5)


def nearly_flat(rng: np.random.Generator, height: int, width: int) -> Array:
    plane = np.full((height, width), 0.5)
    plane[height // 2, width // 3] = 0.51
    return plane


def faint(rng: np.random.Generator, height: int, width: int) -> Array:
    return 0.4 + 0.12 * clouds(rng, height, width, cells=4)


def dim(rng: np.random.Generator, height: int, width: int) -> Array:
    return 0.05 + 0.9 * clouds(rng, height, width, cells=4)


def soft(rng: np.random.Generator, height: int, width: int) -> Array:
    return 0.2 + 0.5 * clouds(rng, height, width, cells=2)


Content = Callable[[np.random.Generator, int, int], Array]


def colour(rng: np.random.Generator, content: Content, height: int, width: int, levels: int = 256) -> Array:
    """uint8[height, width, 3]. Few `levels` keep a large file small."""
    planes = np.stack([content(rng, height, width) for _ in range(3)], axis=-1)
    return np.round(np.round(planes * (levels - 1)) * (255 / (levels - 1))).astype(np.uint8)


def pictures() -> Iterator[tuple[str, Image.Image]]:
    """(file name, picture); the file's ending chooses the format, always without loss."""
    rng = np.random.default_rng(20240731)
    sizes: list[tuple[Content, int, int, int]] = [  # content, width, height, levels
        (noise, 1, 1, 256),
        (noise, 2, 3, 256),
        (noise, 4, 4, 256),
        (noise, 4, 100, 256),
        (noise, 100, 4, 256),
        (noise, 5, 5, 256),
        (clouds, 5, 200, 256),
        (noise, 17, 31, 256),
        (clouds, 63, 63, 256),
        (clouds, 64, 64, 256),
        (noise, 64, 64, 256),
        (clouds, 65, 64, 256),
        (clouds, 64, 128, 256),
        (clouds, 127, 127, 256),
        (noise, 128, 128, 64),
        (clouds, 129, 129, 64),
        (blocks, 130, 70, 256),
        (clouds, 200, 300, 64),
        (checks, 255, 257, 256),
        (gradient, 256, 256, 256),
        (flat, 100, 100, 256),
        (nearly_flat, 300, 200, 256),
        (blocks, 512, 512, 256),
        (clouds, 513, 511, 24),
        (blocks, 640, 480, 256),
        (clouds, 1000, 50, 32),
        (clouds, 50, 1000, 32),
        (blocks, 1024, 768, 256),
        (blocks, 1501, 1001, 256),
        (clouds, 1280, 721, 12),
        (gradient, 2048, 1365, 64),
        (blocks, 3000, 20, 256),
        (blocks, 20, 3000, 256),
        (faint, 240, 320, 256),
        (dim, 320, 240, 64),
        (soft, 400, 333, 32),
        (soft, 77, 99, 256),
    ]
    for number, (content, width, height, levels) in enumerate(sizes):
        pixels = colour(rng, content, height, width, levels)
        yield f"{number:02d}_{content.__name__}_{width}x{height}.png", Image.fromarray(pixels)
    yield from _rounding()
    yield from _modes(rng)


def _rounding() -> Iterator[tuple[str, Image.Image]]:
    """Pictures whose bits or quality hang on the last digit: on how luma is rounded and in which order sums run."""
    for seed, (width, height) in ((8, (16, 20)), (15, (8, 8)), (24, (300, 200))):
        one_colour = np.random.default_rng(seed).integers(0, 256, 3)
        pixels = np.full((height, width, 3), one_colour, dtype=np.uint8)
        yield f"rounding_flat_{width}x{height}.png", Image.fromarray(pixels)


def _modes(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    base = Image.fromarray(colour(rng, clouds, 150, 220, 64))
    grey = base.convert("L")
    alpha = Image.fromarray((clouds(rng, 150, 220) * 255).astype(np.uint8))
    deep = np.round(clouds(rng, 150, 220) * 65535).astype(np.uint16)
    yield "mode_L.png", grey
    yield "mode_LA.png", Image.merge("LA", (grey, alpha))
    yield "mode_RGBA.png", Image.merge("RGBA", (*base.split(), alpha))
    yield "mode_RGBA_invisible.png", Image.merge("RGBA", (*base.split(), Image.new("L", base.size, 0)))
    yield "mode_P.png", base.quantize(64)
    transparent = base.quantize(32)
    transparent.info["transparency"] = 3
    yield "mode_P_transparent.png", transparent
    yield "mode_P.gif", base.quantize(128)
    yield "mode_1.png", grey.convert("1")
    yield "mode_I16.png", Image.fromarray(deep)
    yield "mode_I.tiff", Image.fromarray(deep.astype(np.int32))
    yield "mode_I_small.tiff", Image.fromarray((deep >> 8).astype(np.int32))
    yield "mode_F.tiff", Image.fromarray((clouds(rng, 150, 220) * 300 - 20).astype(np.float32))
    yield "mode_CMYK.tiff", base.convert("CMYK")
    yield "mode_RGB.bmp", base.resize((97, 61))
    yield "mode_RGB.webp", base
    yield "mode_RGBA.webp", Image.merge("RGBA", (*base.split(), alpha))


def rgb(picture: Image.Image) -> Array:
    """uint8[height, width, 3], by the rules of `shared.media.pdq.to_rgb`."""
    values = np.asarray(picture)
    if picture.mode == "I;16":
        values = (values >> 8).astype(np.uint8)
    elif picture.mode == "I":
        values = np.clip(values >> 8 if values.max() > 255 else values, 0, 255).astype(np.uint8)
    elif picture.mode == "F":
        values = np.clip(values, 0, 255).astype(np.uint8)
    else:
        return np.asarray(picture.convert("RGB"))
    return np.repeat(values[:, :, None], 3, axis=2)


def hashed(pixels: Array) -> tuple[str, int]:
    bits, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex(), int(quality)


def save(picture: Image.Image, path: Path) -> None:
    match path.suffix:
        case ".png":
            picture.save(path, optimize=True)
        case ".tiff":
            picture.save(path, compression="tiff_adobe_deflate")
        case ".webp":
            picture.save(path, lossless=True, exact=True)
        case _:
            picture.save(path)


def main() -> None:
    rows = []
    for name, picture in pictures():
        save(picture, HERE / name)
        with Image.open(HERE / name) as opened:
            mode, pixels = opened.mode, rgb(opened)
        pdq, quality = hashed(pixels)
        mirror_pdq, mirror_quality = hashed(pixels[:, ::-1])
        rows.append(
            {
                "name": name,
                "mode": mode,
                "pdq": pdq,
                "quality": quality,
                "mirror_pdq": mirror_pdq,
                "mirror_quality": mirror_quality,
            }
        )
    made_with = {package: version(package) for package in ("pdqhash", "pillow", "numpy")}
    table = {"made_with": made_with, "pictures": rows}
    (HERE / "table.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
