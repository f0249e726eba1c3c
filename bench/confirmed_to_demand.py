"""Content confirmed -> signed demand received, on both logs, beside the floor of the machine.

The load: 20 confirmations/s beside 500 sightings/s, over a history of 10,000 sightings, hosts answering at once. Each confirmed content has
one sighting in the history. The clock runs from the moment the confirmation is sent to the moment the host has the verified demand;
the look at the target (fetch, decode, fingerprint) that no demand goes without is in it.

Each log twice: all services in one process, as on one machine, and each in a process of its own, as on many. And all of it at half the
rate, too: where a machine is too small for the load a queue grows, and its length, not the path, is what is measured.

The floor is the same journey with nothing in it: publish a record, read it, POST it to the host, one after the other on the same log.

    make bench              a table, also in docs/performance.md
    make bench ARGS=--json  one JSON object a log
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.document import replace_section
from bench.figures import percentile
from shared.contracts.topics import LIFECYCLE
from shared.db.embedded.server import EmbeddedPostgres
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.kafka.local import start_kafka
from shared.log.port import EventLog, OutgoingRecord, TopicPartition
from tests.e2e.processes import Fleet, free_port, wait_for
from tests.e2e.story import Story, config, environment
from tests.e2e.world import Hosts, make_world, sightings_of

HISTORY = 10_000
SIGHTINGS_PER_SECOND = 500
BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Milliseconds. `floor_p50` is publish, read and POST alone; `program_cpu` and `postgres_cpu` the processor time a demand
    took in the program and in its PostgreSQL, sightings and confirmation included."""

    log: str
    deployment: str
    seconds: float
    confirmations_per_second: float
    sightings_per_second: float
    demands: int
    p50: float
    p95: float
    p99: float
    floor_p50: float
    program_cpu: float
    postgres_cpu: float

    @property
    def ratio(self) -> float:
        return self.p50 / self.floor_p50


def processor_seconds(program: Collection[int]) -> tuple[float, float]:
    """Of the program's processes, and of the PostgreSQL that runs for this benchmark, its ended backends too."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    postgres: dict[int, int] = {}
    own = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            fields = rest.split()
            process = int(stat.parent.name)
            parents[process] = int(fields[1])
            if process in program:
                own += int(fields[11]) + int(fields[12])
            elif name == "postgres":
                postgres[process] = sum(map(int, fields[11:15]))  # its own time and its ended children's

    def ours(process: int) -> bool:
        while process != os.getpid():
            if process not in parents:
                return False
            process = parents[process]
        return True

    return own / ticks, sum(time for process, time in postgres.items() if ours(process)) / ticks


@contextmanager
def open_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="takedown-bench-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@contextmanager
def deployed(deployment: str, settings: dict[str, str], folder: Path) -> Iterator[tuple[Fleet, str, str]]:
    """The running program, and where intake and notifier listen: all in one process (`together`), or each service in one of its
    own (`apart`)."""
    names = ["serve"] if deployment == "together" else ["intake", "matcher", "notifier"]
    ports = {name: free_port() for name in names}
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as stack:
        if deployment == "apart":
            server = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
            settings = {**settings, "TAKEDOWN_DATABASE": server.conninfo}
        fleet = stack.enter_context(Fleet(settings, logs=folder, ports=ports))
        if deployment == "apart":
            fleet.run("migrate")
            fleet.run("topics", "ensure")
        for name in names:
            fleet.start(name)
        fleet.wait_ready()
        yield fleet, at[names[0]], at[names[-1]]


def run(log: str, deployment: str, *, rate: int, seconds: int, folder: Path, kafka: str | None) -> Figures:
    contents = rate * seconds
    world = make_world(contents=contents, copies=1, sightings=HISTORY + SIGHTINGS_PER_SECOND * seconds, hosts=40)
    bodies = sightings_of(world, seen_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    placed = {item.url for item in world.placed}
    bodies.sort(key=lambda body: body["media_url"] not in placed)  # those that will match first: into the history
    more = {"TAKEDOWN_LOG": "kafka", "TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": kafka} if kafka else {}
    with Hosts(world) as hosts:
        hosts.removes = False
        settings = environment(
            config(folder / "takedown.toml", hosts, policy=""), TAKEDOWN_DATA_DIR=str(folder / "data"), **more
        )
        with deployed(deployment, settings, folder) as (fleet, intake, notifier):
            story = Story(world, fleet, intake=intake, notifier=notifier, directory=folder / "hosts.csv", hosts=hosts)
            for start in range(0, HISTORY, 1000):
                story.sight(bodies[start : start + 1000])
            claims = [story.claim(number) for number in range(contents)]
            pids = [fleet.pid(name) for name in fleet.ports]
            before = processor_seconds(pids)
            sent = asyncio.run(_load(story, claims, bodies[HISTORY:], rate))
            wait_for(lambda: len(hosts.received.first_at) >= contents, seconds=300, what="all demands received")
            program, postgres = (
                (after - earlier) * 1000 / contents
                for after, earlier in zip(processor_seconds(pids), before, strict=True)
            )
            url_of = {item.content: item.url for item in world.placed}
            times = [(hosts.received.first_at[url_of[number]] - at) * 1000 for number, at in sent.confirmed.items()]
            floor = asyncio.run(_floor(folder, hosts, kafka))
    return Figures(
        log=log,
        deployment=deployment,
        seconds=round(sent.seconds, 1),
        confirmations_per_second=round(contents / sent.seconds, 1),
        sightings_per_second=round(sent.sightings / sent.seconds, 1),
        demands=len(times),
        p50=round(percentile(times, 0.50), 1),
        p95=round(percentile(times, 0.95), 1),
        p99=round(percentile(times, 0.99), 1),
        floor_p50=round(floor, 2),
        program_cpu=round(program, 1),
        postgres_cpu=round(postgres, 1),
    )


@dataclass(slots=True)
class Sent:
    confirmed: dict[int, float]
    sightings: int = 0
    seconds: float = 0


async def _load(story: Story, claims: list[str], bodies: list[dict[str, object]], rate: int) -> Sent:
    """Open-loop: each request leaves at its own time, however long the ones before it take."""
    sent = Sent(confirmed={})
    started = time.monotonic()
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=2)
    async with (
        httpx.AsyncClient(base_url=story.base, timeout=60, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):

        async def confirm(number: int, claim_id: str) -> None:
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            sent.confirmed[number] = time.monotonic()
            answer = await client.post(
                f"/v1/claims/{claim_id}/confirmation",
                json={"assurance": "viewed"},
                headers={"authorization": f"Bearer {story.confirmer.key}"},
            )
            answer.raise_for_status()

        async def sight(number: int) -> None:
            await asyncio.sleep(max(0.0, started + number * BATCH / SIGHTINGS_PER_SECOND - time.monotonic()))
            batch = bodies[number * BATCH : (number + 1) * BATCH]
            answer = await client.post(
                "/v1/sightings", json=batch, headers={"authorization": f"Bearer {story.crawler.key}"}
            )
            answer.raise_for_status()
            sent.sightings += len(batch)

        for number, claim_id in enumerate(claims):
            group.create_task(confirm(number, claim_id))
        for number in range(len(bodies) // BATCH):
            group.create_task(sight(number))
    sent.seconds = time.monotonic() - started
    return sent


async def _floor(folder: Path, hosts: Hosts, kafka: str | None, rounds: int = 200) -> float:
    """Median milliseconds of publish, read, POST on an idle machine."""
    with ExitStack() as stack:
        if kafka:
            from shared.log.kafka.log import KafkaLog

            log: EventLog = KafkaLog(kafka)
            return await _floor_on(log, hosts, rounds)
        server = stack.enter_context(EmbeddedPostgres(folder / "floor"))
        from services.standalone.assembly import prepare_postgres_log

        async with Database(server.conninfo) as database:
            wakeups = Wakeups(database)
            listening = asyncio.create_task(wakeups.run())
            try:
                return await _floor_on(await prepare_postgres_log(database, wakeups), hosts, rounds)
            finally:
                listening.cancel()


async def _floor_on(log: EventLog, hosts: Hosts, rounds: int) -> float:
    await log.ensure_topics([LIFECYCLE])
    times = []
    partition = TopicPartition(topic=LIFECYCLE.name, partition=0)
    async with log.publisher() as publisher, log.reader() as reader, httpx.AsyncClient() as client:
        await reader.assign({partition: await log.end(partition)})
        for _ in range(rounds):
            started = time.monotonic()
            await publisher.publish([OutgoingRecord(topic=LIFECYCLE.name, key=b"k", value=b"v" * 400, partition=0)])
            while not await reader.read(timeout_seconds=1.0):
                pass
            await client.post(f"{hosts.base}/floor", content=b"v" * 400)
            times.append((time.monotonic() - started) * 1000)
    await log.close()
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object a log")
    parser.add_argument("--log", choices=["postgres", "kafka", "both"], default="both")
    parser.add_argument(
        "--deployment", choices=["together", "apart", "both"], default="both", help="services in one process or three"
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[20, 10], help="confirmations per second")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    whole = arguments.log == arguments.deployment == "both"
    logs = ("postgres", "kafka") if arguments.log == "both" else (arguments.log,)
    deployments = ("together", "apart") if arguments.deployment == "both" else (arguments.deployment,)
    results = []
    for rate, log, deployment in itertools.product(arguments.rates, logs, deployments):
        with open_dir() as folder, ExitStack() as stack:
            kafka = None
            if log == "kafka":
                kafka = stack.enter_context(start_kafka(data_dir=folder / "kafka")).bootstrap_servers
            figures = run(log, deployment, rate=rate, seconds=arguments.seconds, folder=folder, kafka=kafka)
        results.append(figures)
        if arguments.json:
            print(json.dumps({**asdict(figures), "ratio_p50_to_floor": round(figures.ratio, 1)}), flush=True)
        else:
            print(f"bench: {log}, {deployment}, {rate}/s: p99 {figures.p99:,.0f} ms", file=sys.stderr, flush=True)
    if not arguments.json:
        print(table(results))
        if whole:
            replace_section("confirmed-to-demand", section(results, rates=arguments.rates, seconds=arguments.seconds))
    return 0


def table(results: Sequence[Figures]) -> str:
    """Markdown, a row a measurement."""
    rows = [
        f"| {one.log}, {one.deployment} | {one.p50:,.0f} | {one.p95:,.0f} | {one.p99:,.0f} | {one.floor_p50:.1f} | {one.ratio:,.0f} x"
        f" | {one.demands} at {one.confirmations_per_second:g}/s, {one.sightings_per_second:g}/s"
        f" | {one.program_cpu:.0f} + {one.postgres_cpu:.0f} |"
        for one in results
    ]
    return "\n".join(
        [
            "| log, services | p50, ms | p95 | p99 | floor p50, ms | p50 is | confirmed, beside sightings | processor, ms a demand |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def section(results: Sequence[Figures], *, rates: Sequence[int], seconds: int) -> str:
    """What `docs/performance.md` says of it."""
    return f"""
## From a confirmation to the demand at the host

Made by `make bench` on {datetime.now(UTC):%Y-%m-%d}; do not edit. {platform.machine()}, {os.cpu_count()} cores, which the
program shares with PostgreSQL, Kafka, the hosts and whoever loads it; load of the machine at the end: {os.getloadavg()[0]:.1f}.

Asked for: {" and ".join(map(str, rates))} confirmations/s for {seconds} s
beside {SIGHTINGS_PER_SECOND} sightings/s, a history of {HISTORY:,}, hosts answering at once; aim: p99 under 1,000 ms.

*together*: one process, as on one machine; *apart*: each service in a process of its own, as on many. The floor is publish, read
and POST alone. The processor's time is the program's + PostgreSQL's, sightings included.

{table(results)}
"""


if __name__ == "__main__":
    sys.exit(main())
