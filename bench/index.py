"""Our index of PDQ values beside its peers in one run: threatexchange's `PDQIndex` and the best exact faiss index.

    make bench-index               100,000 and 1,000,000 entries
    make bench-index ARGS=--full   10,000,000 too

Entries are random values; half of the queries are an entry with 0 to 31 bits changed, half are random. Everything on one thread. Writes
the section `index` of `docs/performance.md` and its plot. The peers live in an environment of their own under the cache directory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import venv
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.document import DOCUMENT, ROOT, replace_section
from bench.figures import percentile
from services.matcher.index.brute_force import BruteForceIndex
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import Hashes

PLOT = ROOT / "docs" / "performance-index.svg"
PEERS = ("threatexchange==1.2.17", "faiss-cpu==1.15.1")
QUERIES = 20_000
CHANGES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One index at one size. Times of a change are from the call to its return, with a thread asking all the while."""

    name: str
    build_seconds: float
    bytes_per_entry: float
    batch_per_second: float
    single_p50_ms: float
    single_p99_ms: float
    recall: float
    add_ms: float | None = None
    add_p99_ms: float | None = None
    remove_ms: float | None = None
    remove_p99_ms: float | None = None
    candidates_per_query: float | None = None


def make_data(count: int) -> tuple[Hashes, Hashes, Any]:
    """(values, queries, near): query 2 i is entry `near[i]` with some bits changed."""
    random = np.random.default_rng(count)
    values = random.integers(0, 256, size=(count, 32), dtype=np.uint8)
    near = random.integers(0, count, size=QUERIES // 2)
    queries = random.integers(0, 256, size=(QUERIES, 32), dtype=np.uint8)
    bits = np.unpackbits(values[near], axis=1)
    for row, flips in zip(bits, random.integers(0, 32, size=len(bits)), strict=True):
        row[random.choice(256, size=flips, replace=False)] ^= 1
    queries[::2] = np.packbits(bits, axis=1)
    return values, queries, near


def recall_of(index: ChunkedPdqIndex, values: Hashes, queries: Hashes) -> float:
    """Against comparing everything: the share of its pairs that are found; -1 if there is one that should not be."""
    some = queries[: max(20, 200_000_000 // len(values) // 10)]
    reference = BruteForceIndex()
    reference.add_many(np.arange(len(values)), values)
    expected = {pair[:2] for pair in zip(*(column.tolist() for column in reference.query(some)), strict=True)}
    found = {pair[:2] for pair in zip(*(column.tolist() for column in index.query(some)), strict=True)}
    return len(found & expected) / len(expected) if found <= expected else -1.0


def measure_ours(values: Hashes, queries: Hashes) -> Figures:
    warm = ChunkedPdqIndex(scan_below=1)
    warm.add_many(np.arange(2), values[:2])  # compiles, or reads what was compiled
    index = ChunkedPdqIndex()
    start = time.process_time()
    index.add_many(np.arange(len(values)), values)
    build = time.process_time() - start
    size = index.nbytes / len(values)
    index.query(queries[:512])
    before, start = index.counts, time.process_time()
    index.query(queries)
    batch = len(queries) / (time.process_time() - start)
    candidates = (index.counts.candidates - before.candidates) / len(queries)
    singles = []
    for row in range(1000):
        start = time.process_time()
        index.query(queries[row : row + 1])
        singles.append((time.process_time() - start) * 1e3)
    recall = recall_of(index, values, queries)
    adds, removes = measure_changes(index, queries)
    return Figures(
        name="ours",
        build_seconds=build,
        bytes_per_entry=size,
        batch_per_second=batch,
        single_p50_ms=percentile(singles, 0.5),
        single_p99_ms=percentile(singles, 0.99),
        recall=recall,
        add_ms=percentile(adds, 0.5),
        add_p99_ms=percentile(adds, 0.99),
        remove_ms=percentile(removes, 0.5),
        remove_p99_ms=percentile(removes, 0.99),
        candidates_per_query=candidates,
    )


def measure_changes(index: ChunkedPdqIndex, queries: Hashes) -> tuple[list[float], list[float]]:
    """Milliseconds of additions and removals while another thread asks in batches of 64. Each addition is looked for at once."""
    stop = threading.Event()

    def ask() -> None:
        row = 0
        while not stop.is_set():
            index.query(queries[row : row + 64])
            row = (row + 64) % (len(queries) - 64)

    asking = threading.Thread(target=ask)
    asking.start()
    adds, removes = [], []
    try:
        fresh = np.random.default_rng(1).integers(0, 256, size=(CHANGES, 32), dtype=np.uint8)
        first = 1 << 40
        for place, value in enumerate(fresh):
            start = time.perf_counter()
            index.add(first + place, value.tobytes())
            adds.append((time.perf_counter() - start) * 1e3)
            assert first + place in index.query(fresh[place : place + 1])[1]
        for id in range(CHANGES):
            start = time.perf_counter()
            index.remove(id * 7)
            removes.append((time.perf_counter() - start) * 1e3)
    finally:  # an interrupted one, too, must not wait for it for ever
        stop.set()
        asking.join()
    return adds, removes


def peers_python(given: str | None) -> Path | None:
    """The Python of an environment with the peers, made at first use; None where they cannot be installed."""
    if given:
        return Path(given)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "takedown" / "bench-peers"
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        installed = subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=False)
        if installed.returncode:
            return None
        (folder / ".installed").touch()
    return python


def measure_peers(python: Path, values: Hashes, queries: Hashes, near: Any) -> list[Figures]:
    with tempfile.TemporaryDirectory(prefix="takedown-bench-") as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, values=values, queries=queries[::2], near=near)
        done = subprocess.run(
            [python, ROOT / "bench" / "index_peers.py", path],
            check=True,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    return [Figures(**one) for one in json.loads(done.stdout)]


# The document


def table(size: int, all_figures: list[Figures]) -> list[str]:
    ours = all_figures[0]
    lines = [
        f"### {size:,} entries",
        "",
        "| | batch, queries/s | ours is | single p50 / slowest 1 %, ms | build, s | bytes per entry | add, ms | remove, ms | recall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in all_figures:
        add = "rebuild" if one.add_ms is None else f"{one.add_ms:.3f}"
        if one.add_p99_ms is not None:
            add += f" (p99 {one.add_p99_ms:.3f})"
        remove = "not possible" if one.remove_ms is None else f"{one.remove_ms:.3f} (p99 {one.remove_p99_ms:.3f})"
        lines.append(
            f"| {one.name} | {one.batch_per_second:,.0f} | {ours.batch_per_second / one.batch_per_second:,.1f} x | "
            f"{one.single_p50_ms:.3f} / {one.single_p99_ms:.3f} | {one.build_seconds:.2f} | {one.bytes_per_entry:.0f} | "
            f"{add} | {remove} | {one.recall:.4f} |"
        )
    return [*lines, "", f"Ours compared {ours.candidates_per_query:,.0f} candidates a query.", ""]


def plot(results: dict[int, list[Figures]]) -> str:
    """Queries per second over size, both logarithmic, as SVG."""
    sizes = sorted(results)
    colours = ("#0b6e4f", "#c1440e", "#3d5a98")
    rates = [one.batch_per_second for figures in results.values() for one in figures]
    low, high = np.floor(np.log10(min(rates))), np.ceil(np.log10(max(rates)))
    left, right = np.log10(sizes[0]), max(np.log10(sizes[-1]), np.log10(sizes[0]) + 1)

    def at(size: float, rate: float) -> tuple[float, float]:
        return 80 + 480 * (np.log10(size) - left) / (right - left), 300 - 260 * (np.log10(rate) - low) / (high - low)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 350" font-family="sans-serif" font-size="13">',
        '<rect width="760" height="350" fill="white"/>',
        '<text x="80" y="22">Batch queries per second, one thread</text>',
    ]
    for power in range(int(low), int(high) + 1):
        _, y = at(sizes[0], 10.0**power)
        parts.append(
            f'<line x1="80" x2="560" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/><text x="10" y="{y + 4:.0f}">{10**power:,}</text>'
        )
    for size in sizes:
        x, _ = at(size, 10**low)
        parts.append(f'<text x="{x:.0f}" y="325" text-anchor="middle">{size:,}</text>')
    for place, colour in enumerate(colours[: min(map(len, results.values()))]):
        points = [at(size, results[size][place].batch_per_second) for size in sizes]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        name = results[sizes[-1]][place].name.split(",")[0]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{colour}"/>' for x, y in points)
        parts.append(f'<text x="{points[-1][0] + 10:.0f}" y="{points[-1][1] + 4:.0f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def document(results: dict[int, list[Figures]]) -> str:
    load = os.getloadavg()[0]
    lines = [
        "## The index of PDQ values",
        "",
        f"Made by `make bench-index` on {datetime.now(UTC):%Y-%m-%d}; do not edit. {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; load of the machine at the end: {load:.1f}. Every row of a table is from one run, on "
        "one thread, in seconds of processor time (additions and removals of ours: by the clock); ratios say more than figures. "
        "All at a distance of 31 bits or less.",
        "",
        "Entries are random; every second query of ours and every query of a peer is an entry with 0 to 31 bits changed. Recall is ours "
        "against comparing everything, and a peer's over the entries its queries were made from. Bytes of ours are the arrays', of a "
        "peer the growth of its process. Additions and removals of ours are timed while another thread asks; an addition of "
        "threatexchange is timed with the query that makes it visible. faiss: the fastest of its exact binary indices here.",
        "",
        "![Batch queries per second over size](performance-index.svg)",
        "",
    ]
    for size in sorted(results):
        lines.extend(table(size, results[size]))
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="10,000,000 entries too")
    parser.add_argument("--sizes", type=int, nargs="+", help="these sizes instead; nothing is written")
    parser.add_argument("--peers-python", help="the Python of an environment that has the peers already")
    parser.add_argument("--no-peers", action="store_true", help="ours alone; nothing is written")
    parser.add_argument("--json", action="store_true", help="one JSON object an index and size; nothing is written")
    arguments = parser.parse_args()
    sizes = arguments.sizes or [100_000, 1_000_000, *([10_000_000] if arguments.full else [])]
    python = None if arguments.no_peers else peers_python(arguments.peers_python)
    if python is None and not arguments.no_peers:
        print("The peers cannot be installed here; ours is measured alone and nothing is written.", file=sys.stderr)
    results = {}
    for size in sizes:
        values, queries, near = make_data(size)
        results[size] = [measure_ours(values, queries)]
        if python is not None:
            results[size].extend(measure_peers(python, values, queries, near))
        if arguments.json:
            for one in results[size]:
                print(json.dumps({"size": size, **asdict(one)}), flush=True)
        else:
            print("\n".join(table(size, results[size])), flush=True)
    if python is not None and not arguments.sizes and not arguments.json:
        replace_section("index", document(results))
        PLOT.write_text(plot(results))
        print(f"{DOCUMENT.relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
