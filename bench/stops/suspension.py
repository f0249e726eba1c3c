"""A content with 10,000 URLs is suspended in the midst of its demands: what begins to leave after the answer, and what still arrives.

    make bench-suspension            (ARGS=--json: one object; ARGS="--urls 1000")

The hosts take no message (503), so that each is sent again and again, and the looks go on beside them. Writes its section of
`docs/performance.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.document import replace_section
from shared.db.embedded.server import conninfo_if_running
from tests.claims import claim_body
from tests.e2e.processes import Client, Fleet, free_port, wait_for
from tests.e2e.stopping import moment_of
from tests.e2e.story import config, environment, key
from tests.e2e.world import Hosts, Placed, World, make_world, sightings_of

POLICY = """
[policy]
delivery_retry_base = 3
delivery_retry_cap = 3
first_demands_per_host_hour = 1000000
first_demands_per_key_hour = 1000000
flood_hosts_per_hour = 1000
"""
HOSTS, BATCH, WATCHED_SECONDS = 40, 500, 15.0
_COUNTS = """
SELECT (SELECT count(*) FROM notifier.takedowns), (SELECT count(DISTINCT takedown_id) FROM notifier.attempts),
       (SELECT count(*) FROM notifier.attempts WHERE started_at > clock_timestamp() - interval '10 seconds')
"""
_BEGUN = """
SELECT count(*), coalesce(max(extract(epoch FROM started_at - %(at)s)), 0)
FROM (SELECT started_at FROM notifier.attempts UNION ALL SELECT started_at FROM notifier.checks) AS began WHERE started_at > %(at)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """`asked_for`: URLs for which an attempt had begun. `attempts_per_second`: in the ten seconds before. `answer_ms`: of the suspension.
    `begun_after`: attempts and looks that began after the answer; `arrived_after`: requests that a host still got, the last of them
    `last_arrived_ms` after the answer."""

    urls: int
    asked_for: int
    attempts_per_second: float
    answer_ms: float
    begun_after: int
    arrived_after: int
    last_arrived_ms: float


def measure(urls: int) -> Suspended:
    world = make_world(contents=1, copies=1, sightings=1, hosts=HOSTS, seed=31)
    placed = tuple(
        Placed(content=0, host=host, url=f"http://{host}/m/0-{number}.jpg")
        for number in range(urls)
        for host in [world.hosts[number % HOSTS]]
    )
    world = replace(world, placed=placed)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="takedown-bench-") as folder, Hosts(world) as hosts:
        Path(folder).chmod(0o711)  # PostgreSQL runs under an account of its own where this is root
        hosts.removes, hosts.busy = False, True
        data = Path(folder) / "data"
        settings = environment(
            config(Path(folder) / "takedown.toml", hosts, policy=POLICY), TAKEDOWN_DATA_DIR=str(data)
        )
        with Fleet(settings, logs=Path(folder), ports={"serve": port}) as fleet:
            fleet.start("serve")
            fleet.wait_ready()
            conninfo, base = conninfo_if_running(data / "postgres"), f"http://127.0.0.1:{port}"
            assert conninfo is not None
            return _suspend(world, hosts, fleet, conninfo, base)


def _suspend(world: World, hosts: Hosts, fleet: Fleet, conninfo: str, base: str) -> Suspended:
    roles = {"ann": "helpline", "ben": "helpline", "crawler": "crawler", "ops": "operations"}
    clients = {name: Client(base, key(fleet, role, name)) for name, role in roles.items()}
    headers = {"authorization": f"Bearer {clients['ops'].key}", "content-type": "text/csv"}
    httpx.post(
        f"{base}/v1/hosts", content=world.directory_csv(hosts.base), headers=headers, timeout=60
    ).raise_for_status()
    clients["ops"].post("/v1/outbound", {"on": False})
    seen: list[dict[str, Any]] = sightings_of(world, seen_at=datetime.now(UTC).isoformat())
    for start in range(0, len(seen), BATCH):
        clients["crawler"].post("/v1/sightings", seen[start : start + BATCH])
    value, quality = world.hashes[0]
    claim = clients["ann"].post("/v1/claims", claim_body({"algorithm": "pdq", "value": value, "quality": quality}))
    clients["ben"].post(f"/v1/claims/{claim['claim_id']}/confirmation", {"assurance": "viewed"})

    def there(enough: int) -> bool:
        takedowns, asked, _ = counts(conninfo)
        print(f"\r{takedowns} takedowns, {asked} asked for ", end="", file=sys.stderr, flush=True)
        return takedowns == len(seen) and asked >= enough

    wait_for(lambda: there(0), seconds=1800, what="all takedowns", every=1.0)
    clients["ops"].post("/v1/outbound", {"on": True})
    wait_for(lambda: there(len(seen) // 5), seconds=1800, what="a fifth of the demands tried", every=0.5)
    _, asked_for, lately = counts(conninfo)
    began = time.monotonic()
    clients["ann"].post(f"/v1/content/{claim['content_id']}/suspension", {})
    answered, moment = time.monotonic(), moment_of(conninfo)
    time.sleep(WATCHED_SECONDS)
    with psycopg.connect(conninfo) as connection:
        begun = connection.execute(_BEGUN, {"at": moment}).fetchone()
    assert begun is not None
    late = [at - answered for at, _ in list(hosts.asked) if at > answered]
    return Suspended(
        urls=len(seen),
        asked_for=asked_for,
        attempts_per_second=lately / 10,
        answer_ms=round((answered - began) * 1000, 1),
        begun_after=begun[0],
        arrived_after=len(late),
        last_arrived_ms=round(max(late, default=0.0) * 1000, 1),
    )


def counts(conninfo: str) -> tuple[int, int, int]:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(_COUNTS).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def section(found: Suspended) -> str:
    return (
        "## A suspension in the midst of demands\n\nMade by `make bench-suspension`; do not edit. One content at many URLs of"
        f" {HOSTS} hosts that take no message, so that each is sent again every three seconds.\n\n"
        "| URLs | asked for | attempts/s before | answer, ms | begun after the answer | still arrived at a host | the last, ms after it |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| {found.urls:,} | {found.asked_for:,} | {found.attempts_per_second:.0f} | {found.answer_ms:.0f} | {found.begun_after}"
        f" | {found.arrived_after} | {found.last_arrived_ms:.0f} |\n\nThe aim: nothing leaves 1,000 ms after the answer.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-suspension", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--urls", type=int, default=10_000, help="how many URLs the content has (default: 10,000)")
    asked = parser.parse_args()
    found = measure(asked.urls)
    print(json.dumps(asdict(found)) if asked.json else section(found))
    if not asked.json:
        replace_section("suspension", section(found))


if __name__ == "__main__":
    main()
