"""`make fuzz ARGS="--seconds 600"`: what others wrote, changed at random, until the time is over. What goes wrong is written to a file.

python -m tests.fuzz.run [--seconds N] [--target NAME] [--seed N] [--folder FOLDER]

No coverage guides it: atheris wants every module instrumented at its import and a process a target. The seeds are the inputs that once
went wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that raised what it must not, or took too long."""

    target: str
    data: bytes
    what: str


def tried(target: Target, data: bytes) -> Finding | None:
    """One reading of these bytes."""
    began = time.process_time()
    try:
        target.read(data)
    except target.refusals:
        pass
    except Exception as error:  # noqa: BLE001 - that it raised is what is looked for
        return Finding(target=target.name, data=data, what=f"{type(error).__name__}: {str(error)[:200]}")
    took = time.process_time() - began
    return Finding(target=target.name, data=data, what=f"{took:.1f} s") if took > target.seconds else None


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """The seeds as they are, then changed, for ever; the same for the same number."""
    seeds = list(target.seeds())
    yield from seeds
    dice = random.Random(f"{target.name} {seed}")
    while True:
        yield mutated(dice.choice(seeds), seeds, dice)


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--target", choices=[one.name for one in TARGETS])
    asked.add_argument("--seed", type=int, default=time.time_ns())
    asked.add_argument("--folder", type=Path, default=Path("fuzz-findings"))
    args = asked.parse_args()
    chosen = [one for one in TARGETS if args.target in (None, one.name)]
    found = 0
    for target in chosen:
        until, count = time.monotonic() + args.seconds / len(chosen), 0
        for data in inputs(target, args.seed):
            if time.monotonic() > until:
                break
            count += 1
            finding = tried(target, data)
            if finding is not None:
                found += 1
                args.folder.mkdir(exist_ok=True)
                name = f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
                (args.folder / name).write_bytes(data)
                print(f"{target.name}: {finding.what}: {args.folder / name}", flush=True)
        print(f"{target.name}: {count} inputs", flush=True)
    print(f"{found} findings (seed {args.seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
