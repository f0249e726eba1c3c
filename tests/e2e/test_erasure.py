"""After a final withdrawal, nothing of the content is left: every table, every file of the data directory, all output is searched.

The whole program runs, on each of the two logs; one of three contents is withdrawn by two people while its demands are open and
one of its URLs is reported. Then its fingerprints, URLs and case reference are looked for as text and as bytes. What is exempt is printed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from shared.contracts.topics import CONTENT, MATCHES, SIGHTINGS, TARGETS, TOPICS
from shared.db.embedded.server import EmbeddedPostgres, conninfo_if_running
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.kafka.local import start_kafka
from shared.log.kafka.log import KafkaLog
from shared.log.port import EventLog
from shared.log.postgres.log import PostgresLog
from tests.contract.log_harness import read_all
from tests.e2e.processes import Fleet, free_port, wait_for
from tests.e2e.story import Story, config, environment
from tests.e2e.world import Hosts, World, make_world

SEALED = "he said that he would ring at nine"
"""Written in the case of what is withdrawn: sealed from the first, so that no search ever finds it."""
SEEN_LATER = "/seen-while-it-was-suspended"
EXEMPT = {
    "postgres/cluster": "PostgreSQL's own files: dead rows until its vacuum, the write-ahead log until its retention",
    "hosts.csv, takedown.toml, *.log of other programs": "the test's own files",
}
EXEMPT_ON_KAFKA = {
    "takedown.sightings, takedown.matches": "they end by retention alone (180 and 31 days)",
    "older records of a key of takedown.content, .claims, .targets": "until compaction, two days at most",
}


def needles_of(world: World, content: int, sightings: list[dict[str, object]]) -> set[str]:
    """What must not be found: the register's, the sightings' and the fetched picture's hashes, the URLs, the case reference."""
    urls = {placed.url for placed in world.placed if placed.content == content}
    seen = {
        str(fingerprint["value"])
        for body in sightings
        if body["media_url"] in urls
        for fingerprint in body["fingerprints"]  # type: ignore[attr-defined]  # a JSON body
    }
    paths = {url.partition(".test")[2] for url in urls}
    fetched = {hashlib.new(name, world.pictures[content]).hexdigest() for name in ("md5", "sha1", "sha256")}
    return {world.hashes[content][0], *seen, *fetched, *urls, *paths, f"CASE-{content:06d}"}


def found_in(text: str, needles: Iterable[str]) -> bool:
    """As text (a hash in a `bytea` column is printed so too), or as the bytes of the text."""
    lower = text.lower()
    return any(form in lower for needle in needles for form in (needle.lower(), needle.lower().encode().hex()))


def tables_with(conninfo: str, needles: set[str]) -> set[str]:
    found = set()
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 30
        for (table,) in tables:
            rows = connection.execute(f"SELECT row_text::text FROM {table} AS row_text").fetchall()
            if any(found_in(row, needles) for (row,) in rows):
                found.add(table)
    return found


def files_with(folder: Path, needles: set[str]) -> set[str]:
    """Also where a hash is kept as its bytes."""
    hashes = {bytes.fromhex(needle) for needle in needles if re.fullmatch("[0-9a-f]{32,64}", needle)}
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and "cluster" not in path.relative_to(folder).parts
        and (found_in((raw := path.read_bytes()).decode("latin-1"), needles) or any(one in raw for one in hashes))
    }


async def compact(conninfo: str) -> None:
    """What the log's maintenance will have done a day later."""
    async with Database(conninfo) as database:
        log = PostgresLog(database, Wakeups(database))
        await log.maintain(await database.now() + timedelta(hours=25))
        await log.close()


async def topics_with(log: EventLog, needles: set[str]) -> set[str]:
    """Of the topics that do not end by retention alone, as compaction leaves them: each key's last record."""
    found = set()
    for topic in TOPICS:
        if topic in (SIGHTINGS, MATCHES):
            continue
        for partition in range(topic.partitions):
            records = await read_all(log, topic, partition)
            last = {record.key: record for record in records}.values() if topic.compacted else records
            texts = [((one.key or b"") + b" " + (one.value or b"")).decode("latin-1") for one in last]
            if any(found_in(text, needles) for text in texts):
                found.add(topic.name)
    return found


class OnPostgres:
    """The log in the program's own tables."""

    settings: Mapping[str, str] = {}
    exempt = EXEMPT
    known: frozenset[str] = frozenset()

    def found(self, needles: set[str]) -> set[str]:
        return set()  # the search of the tables finds it

    def told(self, conninfo: str, gone: set[str]) -> None:
        """The erasure itself names the URL on the log; it is redacted after its own time."""

        def still() -> bool:
            asyncio.run(compact(conninfo))
            return "eventlog.record" in tables_with(conninfo, gone)

        wait_for(lambda: not still(), seconds=60, what="the log's tables hold nothing of it", every=0.5)


class OnKafka:
    """The log on a broker of this test's own."""

    exempt = EXEMPT | EXEMPT_ON_KAFKA
    known = frozenset({CONTENT.name, TARGETS.name})

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self.settings = {"TAKEDOWN_LOG": "kafka", "TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers}

    def found(self, needles: set[str]) -> set[str]:
        async def search() -> set[str]:
            log = KafkaLog(self._bootstrap_servers)
            try:
                return await topics_with(log, needles)
            finally:
                await log.close()

        return asyncio.run(search())

    def told(self, conninfo: str, gone: set[str]) -> None:
        wait_for(lambda: not self.found(gone), seconds=60, what="no topic with anything of it", every=0.5)


@pytest.fixture(params=["postgres", "kafka"])
def where(request: pytest.FixtureRequest, server_dir: Path) -> Iterator[OnPostgres | OnKafka]:
    if request.param == "postgres":
        yield OnPostgres()
    else:
        with start_kafka(data_dir=server_dir / "kafka") as kafka:
            yield OnKafka(kafka.bootstrap_servers)


@pytest.mark.timeout(300)
def demanded_everywhere(story: Story, hosts: Hosts) -> list[str]:
    """Three claims, confirmed, whose nine copies have all been demanded; the claims' ids."""
    story.sight(story.sightings)
    story.claimant.post("/v1/cases", {"depicts_minor": "no", "case_ref": "CASE-000000", "notes": SEALED})
    claims = [story.claim(number) for number in range(3)]
    for claim in claims:
        story.confirmer.post(f"/v1/claims/{claim}/confirmation", {"assurance": "viewed"})
    wait_for(lambda: len(hosts.received.first_at) == 9, seconds=60, what="all demands received")
    return claims


def report_matches(story: Story, url: str) -> None:
    report = story.claimant.post("/v1/reports", {"url": url, "case_ref": "CASE-000000"})
    wait_for(
        lambda: story.claimant.get(f"/v1/reports/{report['report_id']}")["state"] == "matched",
        seconds=60,
        what="the report matched",
    )


def written_in_its_case(conninfo: str) -> str:
    """What is written in the case of what is withdrawn: in no table in the clear, also while it is live."""
    assert tables_with(conninfo, {SEALED}) == set()
    return SEALED


def seen_while_suspended(story: Story, claim: str, data: Path) -> str:
    """The first of two people withdraws; then a copy is seen at another place, which no matcher tells of. Its path."""
    story.claimant.post(f"/v1/claims/{claim}/withdrawal", {"reason": "subject_request"})
    wait_for(lambda: story.states()["suspended"] == 3, seconds=60, what="three takedowns suspended")
    copies = {placed.url for placed in story.world.placed if placed.content == 0}
    copy = next(one for one in story.sightings if one["media_url"] in copies)
    story.sight(
        [
            copy
            | {"media_url": f"http://elsewhere.test{SEEN_LATER}", "page_url": f"http://elsewhere.test{SEEN_LATER}/page"}
        ]
    )
    wait_for(lambda: bool(files_with(data, {SEEN_LATER})), seconds=60, what="the matcher remembers it", every=0.2)
    return SEEN_LATER


def withdrawn(story: Story, claim: str) -> None:
    """At the subject's request, by the second of two; three takedowns end with it."""
    story.confirmer.post(f"/v1/claims/{claim}/withdrawal", {"reason": "subject_request"})
    wait_for(lambda: story.states()["withdrawn"] == 3, seconds=60, what="three takedowns withdrawn")


def recipients_hear_of_it(story: Story, hosts: Hosts) -> None:
    told = {("demand.retracted", item.host, "") for item in story.world.placed if item.content == 0}
    wait_for(
        lambda: told <= hosts.received.ids.keys(),
        seconds=30,
        what="the recipients hear that no further action is asked",
    )


def test_nothing_of_withdrawn_content_is_found(
    where: OnPostgres | OnKafka, server_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(contents=3, copies=3, sightings=60, hosts=12, seed=11)
    port = free_port()
    data = server_dir / "data"
    with Hosts(world) as hosts:
        hosts.removes = False
        settings = environment(
            config(server_dir / "takedown.toml", hosts, policy="[policy]\nclock_scale = 0.0001\n"),
            TAKEDOWN_DATA_DIR=str(data),
            **where.settings,
        )
        with Fleet(settings, logs=server_dir, ports={"serve": port}) as fleet:
            fleet.start("serve")
            fleet.wait_ready()
            base = f"http://127.0.0.1:{port}"
            story = Story(world, fleet, intake=base, notifier=base, directory=server_dir / "hosts.csv", hosts=hosts)
            claims = demanded_everywhere(story, hosts)
            report_matches(story, next(placed.url for placed in world.placed if placed.content == 0))
            gone, kept = needles_of(world, 0, story.sightings), needles_of(world, 1, story.sightings)
            conninfo = conninfo_if_running(data / "postgres")
            assert conninfo is not None
            before = tables_with(conninfo, gone)
            there = {"intake.cases", "intake.claims", "intake.reports", "notifier.takedowns"}
            assert there <= before, "the search finds what is there"
            assert where.found(gone) == where.known, "on the log, too"

            wait_for(
                lambda: (
                    {"register", "history"} <= {name.split("/")[2].split("-")[0] for name in files_with(data, gone)}
                ),
                seconds=60,
                what="the matcher's files, where the search finds what is there",
                every=0.5,
            )

            gone |= {written_in_its_case(conninfo), seen_while_suspended(story, claims[0], data)}
            withdrawn(story, claims[0])
            wait_for(
                lambda: not {name for name in tables_with(conninfo, gone) if not name.startswith("eventlog.")},
                seconds=60,
                what="no table of a service with anything of it",
                every=0.5,
            )
            recipients_hear_of_it(story, hosts)
            where.told(conninfo, gone)
            assert {"intake.claims", "notifier.takedowns"} <= tables_with(conninfo, kept), "the others' is still there"
        with EmbeddedPostgres(data / "postgres") as server:
            where.told(server.conninfo, gone)
            left = tables_with(server.conninfo, gone)
        assert left == set()
        assert files_with(data, gone) == set()
        assert not found_in((server_dir / "serve.log").read_text(), gone | kept), "no URL or hash in the output"
        with capsys.disabled():
            print(
                f"\n  searched for {len(gone)} texts; before the withdrawal they were in {', '.join(sorted(before | where.known))}"
            )
            for what, why in where.exempt.items():
                print(f"  exempt: {what}: {why}")
