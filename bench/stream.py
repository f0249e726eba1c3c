"""The matcher's stream through real Kafka: sightings per second on one core, where the time goes, and how soon confirmed content matches.

    make bench-stream                            registers of 100,000, 1,000,000 and 3,000,000 PDQ entries; writes docs/performance.md
    make bench-stream ARGS="--sizes 100000"      these sizes; nothing is written
    make bench-stream ARGS=--json                one JSON object a measurement; nothing is written
    make bench-stream ARGS="--sizes 100000 --results FILE --write"
                                                 a part at a time, where the machine is not to be had for longer

The whole matcher runs as a process of its own on core 0 (read, decode, remember, meet the register, publish the matches, commit both
offsets), Kafka and whoever loads it on core 1. Sightings wait in the topic, about 150 in a record as intake makes them; one in 200 is
near an entry of the register. Beside it, in the same run and on the same core: aiokafka reading the same records, and the same with their
pydantic model. `1 PDQ` and `2 PDQ` (with that of the true mirror) are a sighting's fingerprints.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.document import replace_section
from bench.figures import percentile
from bench.stream_load import (
    IN_A_RECORD,
    content_of,
    contents,
    ends,
    make_topics,
    publish_all,
    sightings_record,
    sightings_records,
    values_of,
)
from services.matcher.index import Hashes
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from shared.contracts.topics import MATCHES
from shared.log.kafka import KafkaLog
from shared.log.kafka_local import start_kafka
from shared.log.port import TopicPartition

ROOT = Path(__file__).resolve().parent.parent
SIZES = (100_000, 1_000_000, 3_000_000)
AIM_PER_SECOND = 20_000
AIM_CONFIRMED_MS = 100
CONFIRMED_PER_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One measurement. Rates are sightings a second: by the clock, which others on the machine slow down, and of processor time.

    `raw_*`, `pydantic_*`: the floor. `start_*`: until ready, from the process's first instruction. `resident_mb`: at the end, the
    history of these sightings in it. `confirmed_*`: from publishing content to reading its match with a sighting of before, while
    sightings flow.
    """

    entries: int
    pdq_values: int
    sightings: int
    per_second: float
    per_cpu_second: float
    raw_per_cpu_second: float
    pydantic_per_cpu_second: float
    start_seconds: float
    start_cpu_seconds: float
    resident_mb: float
    longest_stall_ms: float
    profile: dict[str, float]
    start_again_seconds: float | None = None
    start_again_cpu_seconds: float | None = None
    confirmed_p50_ms: float | None = None
    confirmed_p99_ms: float | None = None
    confirmed_beside_per_second: float | None = None


def progress(text: str) -> None:
    print(f"bench-stream: {text}", file=sys.stderr, flush=True)


# What is measured


class Measured:
    """A process of `bench.stream_process`, and what it says."""

    def __init__(
        self, bootstrap: str, mode: str, *, cpu: int | None, folder: Path, start: Mapping[int, int] | None
    ) -> None:
        spec = {
            "bootstrap": bootstrap,
            "mode": mode,
            "cpu": cpu,
            "every_seconds": 0.2,
            "in_a_record": IN_A_RECORD,
            "folder": str(folder),
            "start": start,
        }
        self.started_at = time.monotonic()
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.stream_process", json.dumps(spec)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self.said.put(json.loads(line))

    def next(self) -> dict[str, Any]:
        return self.said.get(timeout=600)

    def stop(self) -> None:
        """In order, so that its files are as committed."""
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        finally:
            self._process.kill()


@contextmanager
def measured(
    bootstrap: str, mode: str, *, cpu: int | None, folder: Path, start: Mapping[int, int] | None = None
) -> Iterator[Measured]:
    process = Measured(bootstrap, mode, cpu=cpu, folder=folder, start=start)
    try:
        yield process
    finally:
        process.stop()


def floor(bootstrap: str, mode: str, *, cpu: int | None, folder: Path, start: Mapping[int, int]) -> float:
    """Sightings a second of processor time. `start`: from which offset of each partition."""
    with measured(bootstrap, mode, cpu=cpu, folder=folder, start=start) as process:
        began, ended = process.next(), process.next()
    return float(ended["handled"]) / (float(ended["cpu"]) - float(began["cpu"]))


def run(
    size: int, pdq_values: Sequence[int], sightings: int, *, folder: Path, cpu: int | None, confirm_seconds: float
) -> Iterator[Figures]:
    """One broker and one register; a load for each of `pdq_values`, one after the other, in the same topic."""
    register = values_of(size, seed=1)
    with start_kafka(data_dir=folder / "kafka", on_progress=lambda line: None) as kafka:
        bootstrap = kafka.bootstrap_servers
        asyncio.run(make_topics(bootstrap))
        progress(f"{size:,} entries: loading the register")
        asyncio.run(publish_all(bootstrap, contents(register), transactional=True))
        for turn, values in enumerate(pdq_values):
            start = asyncio.run(ends(bootstrap))
            progress(f"loading {sightings:,} sightings of {values} PDQ")
            records = sightings_records(sightings, register, pdq_values=values, seed=2 + 10 * values)
            asyncio.run(publish_all(bootstrap, iter(records), transactional=False))
            progress("the floor")
            raw, validated = (
                floor(bootstrap, mode, cpu=cpu, folder=folder, start=start) for mode in ("raw", "pydantic")
            )
            progress("the matcher, from its snapshot" if turn else "the matcher, from the log")
            with measured(bootstrap, "matcher", cpu=cpu, folder=folder) as process:
                figures = throughput(process, size, values, sightings, raw, validated)
                if confirm_seconds and not turn:
                    progress(f"confirmed content beside {AIM_PER_SECOND:,} sightings/s")
                    times, rate = asyncio.run(confirmed(bootstrap, register, process, seconds=confirm_seconds))
                    figures = dataclasses.replace(
                        figures,
                        confirmed_p50_ms=round(percentile(times, 0.5), 1),
                        confirmed_p99_ms=round(percentile(times, 0.99), 1),
                        confirmed_beside_per_second=round(rate),
                    )
            progress("the matcher started again, with nothing to be read")
            with measured(bootstrap, "matcher", cpu=cpu, folder=folder) as process:
                while not (said := process.next())["ready"]:
                    pass
            yield dataclasses.replace(
                figures,
                start_again_seconds=round(said["at"] - process.started_at, 1),
                start_again_cpu_seconds=round(said["cpu"], 1),
            )


def throughput(
    process: Measured,
    size: int,
    pdq_values: int,
    sightings: int,
    raw: float,
    validated: float,
) -> Figures:
    """From the first tenth of the sightings to the last."""
    ready, first, stall, last = None, None, 0.0, process.next()
    while last["handled"] < sightings:
        last = process.next()
        if ready is None and last["ready"]:
            ready = last
        if last["handled"] >= sightings / 10:
            first = first or last
            stall = max(stall, last["longest_stall"])
    assert first is not None
    ready = ready or first
    seconds, cpu_seconds = last["at"] - first["at"], last["cpu"] - first["cpu"]
    samples = sum(last["profile"].values()) or 1
    return Figures(
        entries=size,
        pdq_values=pdq_values,
        sightings=sightings,
        per_second=round((last["handled"] - first["handled"]) / seconds),
        per_cpu_second=round((last["handled"] - first["handled"]) / cpu_seconds),
        raw_per_cpu_second=round(raw),
        pydantic_per_cpu_second=round(validated),
        start_seconds=round(ready["at"] - process.started_at, 1),
        start_cpu_seconds=round(ready["cpu"], 1),
        resident_mb=round(last["resident"] / 1e6),
        longest_stall_ms=round(1000 * stall),
        profile={stage: round(count / samples, 3) for stage, count in sorted(last["profile"].items())},
    )


async def confirmed(
    bootstrap: str, register: Hashes, process: Measured, *, seconds: float
) -> tuple[list[float], float]:
    """(milliseconds of each, sightings handled a second meanwhile).

    Each content's only fingerprint is that of a sighting which is in the history already.
    """
    log = KafkaLog(bootstrap)
    count = int(seconds * CONFIRMED_PER_SECOND)
    values = values_of(count, seed=3)
    fresh = [
        sightings_record(
            500_000_000 + start, [[value.tobytes().hex()] for value in values[start : start + IN_A_RECORD]]
        )
        for start in range(0, count, IN_A_RECORD)
    ]
    flow = sightings_records(int(seconds * AIM_PER_SECOND), register, pdq_values=1, seed=4)
    began: dict[UUID, float] = {}
    took: list[float] = []
    try:
        async with log.publisher() as publisher, log.publisher() as second, log.reader() as matches:
            await publisher.publish(fresh)
            places = [TopicPartition(topic=MATCHES.name, partition=number) for number in range(MATCHES.partitions)]
            await matches.assign({place: await log.end(place) for place in places})
            await asyncio.sleep(3)  # they are in the history by then
            while not process.said.empty():
                before = process.next()
            before = process.next()

            async def watch() -> None:
                while True:
                    for record in await matches.read(timeout_seconds=0.2):
                        event = decode(MODELS, value=record.value, headers=record.headers).event
                        if isinstance(event, MatchFound) and event.content_id in began:
                            took.append(1000 * (time.monotonic() - began.pop(event.content_id)))

            async def load() -> None:
                start = time.monotonic()
                for number, record in enumerate(flow):
                    await asyncio.sleep(start + number * IN_A_RECORD / AIM_PER_SECOND - time.monotonic())
                    await publisher.publish([record])

            watching, loading = asyncio.create_task(watch()), asyncio.create_task(load())
            for value in values:
                await asyncio.sleep(1 / CONFIRMED_PER_SECOND)
                record = content_of([value.tobytes().hex()])
                assert record.key is not None
                began[UUID(record.key.decode())] = time.monotonic()
                await second.publish([record])
            await loading
            while not process.said.empty():
                after = process.next()
            after = process.next()
            deadline = time.monotonic() + 30
            while began and time.monotonic() < deadline:  # noqa: ASYNC110 - a bench may look
                await asyncio.sleep(0.05)
            assert not began, f"{len(began)} of {count} were not matched"
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    finally:
        await log.close()
    return took, (after["handled"] - before["handled"]) / (after["at"] - before["at"])


# What is told


def table(results: Sequence[Figures]) -> str:
    lines = [
        "| register | sightings with | sightings/s by the clock | per processor second | of aiokafka raw | of raw + pydantic |"
        " longest stall, ms | resident, MB | start, s | again, s | again, processor s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines.extend(
        f"| {one.entries:,} | {one.pdq_values} PDQ | {one.per_second:,.0f} | {one.per_cpu_second:,.0f} |"
        f" 1/{one.raw_per_cpu_second / one.per_cpu_second:.1f} | 1/{one.pydantic_per_cpu_second / one.per_cpu_second:.1f} |"
        f" {one.longest_stall_ms:.0f} | {one.resident_mb:,.0f} | {one.start_seconds} |"
        f" {one.start_again_seconds or '-'} | {one.start_again_cpu_seconds or '-'} |"
        for one in results
    )
    stages = sorted({stage for one in results for stage in one.profile})
    lines += ["", "Where the time goes, in hundredths:", ""]
    heads = [f"{one.entries:,}, {one.pdq_values} PDQ" for one in results]
    lines += [f"| | {' | '.join(heads)} |", "|---" * (len(results) + 1) + "|"]
    lines.extend(
        f"| {stage} | " + " | ".join(f"{100 * one.profile.get(stage, 0):.0f}" for one in results) + " |"
        for stage in stages
    )
    lines.append("")
    lines.extend(
        f"Confirmed content to its match with a sighting of before, {one.entries:,} entries, beside"
        f" {one.confirmed_beside_per_second:,.0f} sightings/s: p50 {one.confirmed_p50_ms} ms, p99 {one.confirmed_p99_ms} ms"
        f" (aim p99 {AIM_CONFIRMED_MS} ms)."
        for one in results
        if one.confirmed_p99_ms is not None
    )
    return "\n".join(lines)


def section(results: Sequence[Figures]) -> str:
    return f"""## The matcher's stream

Made by `make bench-stream` on {datetime.now(UTC):%Y-%m-%d}; do not edit. {platform.machine()}, {os.cpu_count()} cores,
Python {platform.python_version()}. The whole matcher is one process on a core
of its own, Kafka and the load on the other. Where other work shares the machine the clock says less than processor time. The floor, in
the same run on the same core, in processor time: aiokafka reading the same records, and with their pydantic model. The aim is
{AIM_PER_SECOND:,} sightings/s with one PDQ value each at 1,000,000 entries. Start: from the process's first instruction until it is
ready, Python's own start in it; for sightings with 1 PDQ from the log without any file, for those with 2 PDQ from files, beside the
backlog. Again: from the files of an orderly stop, with nothing to be read (aim 5 s at 1,000,000).
Resident: with the register and the history of the sightings measured, pages of mapped files among it. Stall: the longest the event
loop was kept waiting.

{table(results)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="make bench-stream", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="entries of the register; nothing is written")
    parser.add_argument("--sightings", type=int, default=200_000, help="how many are measured (200,000)")
    parser.add_argument(
        "--confirm-seconds", type=float, default=15, help="how long content is confirmed; 0: not at all (15)"
    )
    parser.add_argument(
        "--pdq", type=int, nargs="+", choices=(1, 2), default=(1, 2), help="PDQ values of a sighting (1 and 2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a measurement; nothing is written")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md also for other sizes")
    parser.add_argument("--results", type=Path, help="add them to those in this file, which the tables are then of")
    arguments = parser.parse_args()
    cpu = None
    if (os.cpu_count() or 1) > 1:
        cpu = min(os.sched_getaffinity(0))
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {cpu})  # Kafka, started from here, too
    results = []
    for size in arguments.sizes or SIZES:
        with tempfile.TemporaryDirectory(prefix="takedown-bench-") as folder:
            for one in run(
                size,
                arguments.pdq,
                arguments.sightings,
                folder=Path(folder),
                cpu=cpu,
                confirm_seconds=arguments.confirm_seconds,
            ):
                results.append(one)
                if arguments.json:
                    print(json.dumps(dataclasses.asdict(one)), flush=True)
                else:
                    progress(f"{one.per_second:,.0f} sightings/s, {one.per_cpu_second:,.0f} a processor second")
    if arguments.results is not None:
        with arguments.results.open("a") as file:
            file.writelines(json.dumps(dataclasses.asdict(one)) + "\n" for one in results)
        results = [Figures(**json.loads(line)) for line in arguments.results.read_text().splitlines()]
        results.sort(key=lambda one: (one.entries, one.pdq_values))
    if not arguments.json:
        print(table(results))
        if not arguments.sizes or arguments.write:
            replace_section("stream", section(results))
            progress("docs/performance.md written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
