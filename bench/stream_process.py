"""The measured side of `bench.stream`: one process, which says how far it is. `python -m bench.stream_process SPEC`.

`mode` in SPEC (JSON): `matcher` is the whole matcher; `raw` reads the same records with aiokafka and nothing else; `pydantic` reads
and validates them by their model. A line of JSON on standard output each `every_seconds`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import REGISTRY

from services.matcher.consumer.partitions import MatcherDependencies, in_background
from services.matcher.consumer.worker import Matcher
from services.matcher.state.files import StateFiles
from services.standalone.serve import collect_less_often
from shared.contracts.sightings import SightingsBatch
from shared.contracts.topics import SIGHTINGS
from shared.log.kafka.log import KafkaLog
from shared.policy import Policy

_SAMPLE_SECONDS = 0.005
_STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("register: query", ("/join.py",)),
    ("publish matches", ("/sending.py", "/kafka_publisher.py", "aiokafka/producer")),
    (
        "history: remember, index",
        ("/history.py", "/head.py", "/arrivals.py", "/columns.py", "/segments.py", "/tiers.py", "/pdq_index.py"),
    ),
    ("decode: validate, columns", ("/batch.py", "/records.py", "shared/contracts")),
    ("commit", ("/commits.py", "aiokafka/coordinator")),
    ("fetch: aiokafka, records", ("/kafka_readers.py", "aiokafka")),
    ("waiting", ("selectors.py",)),
)


class Profile:
    """Where the process is, looked at 200 times a second."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.on = False
        self._main = threading.main_thread().ident
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        me = threading.get_ident()
        while True:
            time.sleep(_SAMPLE_SECONDS)
            if not self.on:
                continue
            stages = {number: _stage(frame) for number, frame in sys._current_frames().items() if number != me}
            main = stages.pop(self._main, "waiting")  # type: ignore[arg-type]  # the main thread has an id
            beside = [stage for stage in stages.values() if stage not in ("idle", "other")]
            self.found[beside[0] if main == "waiting" and beside else main] += 1


def _stage(frame: FrameType | None) -> str:
    files = []
    while frame is not None:
        files.append(frame.f_code.co_filename)
        frame = frame.f_back
    if files[0].endswith(("threading.py", "concurrent/futures/thread.py")):
        return "idle"
    return next((stage for stage, parts in _STAGES if any(part in one for one in files for part in parts)), "other")


def say(**facts: Any) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm") as memory:
        resident = int(memory.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    facts |= {"at": time.monotonic(), "cpu": usage.ru_utime + usage.ru_stime, "resident": resident}
    os.write(1, json.dumps(facts).encode() + b"\n")


async def match(spec: dict[str, Any]) -> None:
    """Until it is ended."""
    profile = Profile()
    log = KafkaLog(spec["bootstrap"])
    policy = Policy()
    state = StateFiles(folder=Path(spec["folder"]) / "state", kept=policy.history_kept, run=in_background)
    state.lock()
    matcher = Matcher(
        MatcherDependencies(log=log, policy=policy, fingerprint_key=b"k" * 32, member_id="bench", state=state)
    )
    collect_less_often()
    working = asyncio.create_task(matcher.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    longest, before = 0.0, time.monotonic()
    next_word = 0.0
    while not working.done():
        await asyncio.sleep(0.01)
        now = time.monotonic()
        longest, before = max(longest, now - before - 0.01), now
        if now < next_word:
            continue
        next_word = now + spec["every_seconds"]
        profile.on = not matcher.not_ready()
        say(
            handled=REGISTRY.get_sample_value("takedown_sightings_matched_total"),
            ready=not matcher.not_ready(),
            longest_stall=longest,
            profile=profile.found,
        )
        longest = 0.0
    with suppress(asyncio.CancelledError):
        await working
    await matcher.close()


async def read(spec: dict[str, Any]) -> None:
    """Every record kept, and what that took."""
    consumer = AIOKafkaConsumer(bootstrap_servers=spec["bootstrap"], enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(SIGHTINGS.name, number) for number in range(SIGHTINGS.partitions)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    wanted, read, sightings = 0, 0, 0
    for partition, end in ends.items():
        start = spec["start"][str(partition.partition)]
        consumer.seek(partition, start)
        wanted += end - start
    say(handled=0)
    while read < wanted:
        for records in (await consumer.getmany(timeout_ms=200, max_records=64)).values():
            read += len(records)
            if spec["mode"] == "pydantic":
                for record in records:
                    sightings += len(SightingsBatch.model_validate_json(record.value).sightings)
    say(handled=sightings or read * spec["in_a_record"])
    await consumer.stop()


def main() -> None:
    spec = json.loads(sys.argv[1])
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if spec["cpu"] is not None:
        os.sched_setaffinity(0, {spec["cpu"]})
    asyncio.run(match(spec) if spec["mode"] == "matcher" else read(spec))


if __name__ == "__main__":
    main()
