"""Photographs for the benches: those that packages ship, in a throw-away environment of their own, and the peer that hashes them.

Nothing of it is a dependency of ours: scikit-image, scikit-learn and gradio are installed for the pictures in them alone (without what
they depend on), `pdqhash` as the peer; it has no wheel for Linux, so it needs a C++ compiler.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

PICTURE_PACKAGES = ("scikit-image==0.26.0", "scikit-learn==1.9.1", "gradio==6.31.0")
PEERS = ("pdqhash==0.2.8", "numpy", "pillow")
SHORTEST_SIDE = 300
FEWEST_BYTES = 15_000


def environment() -> Path:
    """The environment's Python. Made once, under the cache directory."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "takedown" / "bench-pdq"
    python = home / "bin" / "python"
    done = home / ".installed"
    if not done.exists():
        venv.create(home, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, *PEERS], check=False).returncode != 0:
            print(
                "pdqhash could not be built (a C++ compiler is needed): ours is compared with itself", file=sys.stderr
            )
        subprocess.run([*pip, "--no-deps", *PICTURE_PACKAGES], check=True)
        done.touch()
    return python


def has_peer(python: Path) -> bool:
    return subprocess.run([str(python), "-c", "import pdqhash"], check=False, capture_output=True).returncode == 0


def photographs(python: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, RGB picture): what the packages ship, in order of names."""
    found = (path for path in (python.parents[1] / "lib").rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))
    for path in sorted(found, key=lambda path: path.name):
        if path.stat().st_size < FEWEST_BYTES:
            continue
        with Image.open(path) as picture:
            if min(picture.size) >= SHORTEST_SIDE:
                yield path.name, picture.convert("RGB")


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def fitted(picture: Image.Image, longer: int) -> Image.Image:
    """The picture with this longer side."""
    factor = longer / max(picture.size)
    size = (max(8, round(picture.width * factor)), max(8, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)
