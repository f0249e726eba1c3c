"""`pdqhash` over the pictures of `bench/fingerprinting.py`, run by the Python of an environment that has it.

Reads a folder of JPEG files and prints JSON: seconds of processor time to decode and hash each in full, and its hash.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pdqhash  # type: ignore[import-not-found,import-untyped,unused-ignore]  # in the peer's environment alone
from PIL import Image


def main() -> None:
    rows = {}
    for path in sorted(Path(sys.argv[1]).iterdir()):
        start = time.process_time()
        with Image.open(path) as picture:
            bits, quality = pdqhash.compute(np.asarray(picture.convert("RGB")))
        seconds = time.process_time() - start
        rows[path.name] = {"seconds": seconds, "pdq": np.packbits(bits).tobytes().hex(), "quality": int(quality)}
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
