"""Writes the two films beside it: four pictures of `tests/notifier_world.py`, a second each. Needs ffmpeg; run from the project's root.

python -m tests.data.browser.make_films
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.notifier_world import picture

SEEDS = (21, 22, 23, 24)
HERE = Path(__file__).parent
CODECS = {
    "film.webm": ("-c:v", "libvpx", "-b:v", "300k"),
    "film.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for place, seed in enumerate((*SEEDS, SEEDS[-1])):  # ffmpeg gives the last picture one frame
            Path(folder, f"{place}.png").write_bytes(picture(seed, size=(320, 240)))
        for name, codec in CODECS.items():
            subprocess.run(
                [
                    "ffmpeg",
                    "-v",
                    "error",
                    "-y",
                    "-framerate",
                    "1",
                    "-i",
                    f"{folder}/%d.png",
                    "-r",
                    "10",
                    *codec,
                    str(HERE / name),
                ],
                check=True,
            )


if __name__ == "__main__":
    main()
