"""The peers of `bench/index.py`, run by the Python of a throw-away environment that has them: no dependency of ours.

Reads values and queries from a .npz file and prints one JSON array: the figures of threatexchange's `PDQIndex` and of the best exact
index of faiss.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

MAX_DISTANCE = 31
SINGLES = 30
LEAST_SECONDS = 2.0


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, which other work on the machine disturbs less than the clock's."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def per_second(search: Callable[[Any], Any], queries: Any) -> float:
    """Batches that grow until one takes long enough to be measured."""
    count = 8
    while True:
        some = queries[:count]
        seconds, _ = timed(partial(search, some))
        if seconds > LEAST_SECONDS or count >= len(queries):
            return float(count / seconds)
        count = min(len(queries), count * 4)


def singles(search: Callable[[Any], Any], queries: Any) -> tuple[float, float]:
    times = sorted(timed(partial(search, queries[row : row + 1]))[0] * 1e3 for row in range(SINGLES))
    return times[len(times) // 2], times[-1]


def measure(
    name: str,
    values: Any,
    queries: Any,
    near: Any,
    make: Callable[[], Any],
    search: Callable[[Any, Any], list[set[int]]],
    add: Any,
) -> dict[str, Any]:
    before = resident_bytes()
    build_seconds, index = timed(make)
    size = resident_bytes() - before
    sample = min(len(near), 50)
    found = search(index, queries[:sample])
    p50, p99 = singles(lambda some: search(index, some), queries)
    figures = {
        "name": name,
        "build_seconds": build_seconds,
        "bytes_per_entry": size / len(values),
        "batch_per_second": per_second(lambda some: search(index, some), queries),
        "single_p50_ms": p50,
        "single_p99_ms": p99,
        "recall": sum(int(near[row]) in found[row] for row in range(sample)) / sample,
    }
    figures["add_ms"] = add(index) if add else None
    return figures


def main() -> None:
    import faiss  # type: ignore[import-not-found]  # in the peers' environment alone
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex  # type: ignore[import-not-found]  # the same

    faiss.omp_set_num_threads(1)
    with np.load(sys.argv[1]) as file:
        values, queries, near = file["values"], file["queries"], file["near"]
    printed = [value.tobytes().hex() for value in values]
    asked = {query.tobytes(): query.tobytes().hex() for query in queries}

    def search_threatexchange(index: Any, some: Any) -> list[set[int]]:
        wanted = [asked[query.tobytes()] for query in some]
        found = index.index.search_with_distance_in_result(wanted, MAX_DISTANCE)
        return [{int(row) for row, _, _ in found[value]} for value in wanted]

    def add_threatexchange(index: Any) -> float:
        # Visible to the next query: an addition, and the query that pays for it.
        def call() -> None:
            index.add("0" * 64, len(values))
            search_threatexchange(index, queries[:1])

        return timed(call)[0] * 1e3

    def search_faiss(index: Any, some: Any) -> list[set[int]]:
        limits, _, ids = index.range_search(some, MAX_DISTANCE + 1)
        return [set(ids[limits[row] : limits[row + 1]].tolist()) for row in range(len(some))]

    def flat() -> Any:
        index = faiss.IndexBinaryFlat(256)
        index.add(values)
        return index

    def multi_hash(chunks: int, bits: int) -> Callable[[], Any]:
        def make() -> Any:
            index = faiss.IndexBinaryMultiHash(256, chunks, bits)
            index.nflip = 31 // chunks
            index.add(values)
            return index

        return make

    results = [
        measure(
            "threatexchange PDQIndex",
            values,
            queries,
            near,
            lambda: PDQIndex(zip(printed, range(len(printed)), strict=True)),
            search_threatexchange,
            add_threatexchange,
        )
    ]
    exact = [
        measure("faiss flat", values, queries, near, flat, search_faiss, None),
        measure("faiss 16 x 16, 1 flip", values, queries, near, multi_hash(16, 16), search_faiss, None),
        measure("faiss 11 x 23, 2 flips", values, queries, near, multi_hash(11, 23), search_faiss, None),
    ]
    results.append(max(exact, key=lambda one: one["batch_per_second"]))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
