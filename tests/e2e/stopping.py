"""Contents with demands that no host takes, to be stopped one after another: what begins after an answer is counted in the tables
and at the hosts, while one content that nobody stops shows that time goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import psycopg

from shared.access.keys import Role, create_key
from shared.db.pool import Database
from tests.claims import claim_body
from tests.e2e.processes import Client, Fleet, wait_for
from tests.e2e.world import Hosts, World, sightings_of

POLICY = """
[policy]
delivery_retry_base = 0.4
delivery_retry_cap = 0.4
observation_max_age = 3
open_check_every = 3
undelivered_escalates_after = 21600
"""
"""A message goes again at once, and looks come with it."""
MORE = 5
"""So many attempts and looks of the content that nobody stops show that time went on."""
UNDER_WAY_SECONDS = 1.0
"""What had begun before an answer may reach a host so much later, on a busy machine."""

_BEGUN = """
SELECT t.content_id, count(*) FROM notifier.takedowns t JOIN (
    SELECT takedown_id, started_at FROM notifier.attempts UNION ALL SELECT takedown_id, started_at FROM notifier.checks
) AS began USING (takedown_id) WHERE began.started_at > %s GROUP BY t.content_id
"""


class Stopping:
    """The clients and what they know. Contents are numbers of the world; the last one is never stopped."""

    def __init__(self, world: World, hosts: Hosts, fleet: Fleet, *, intake: str, notifier: str, conninfo: str) -> None:
        self.world = world
        self.hosts = hosts
        self.fleet = fleet
        self.conninfo = conninfo
        keys = asyncio.run(_keys(conninfo))
        self.key_ids = {name: key_id for name, (key_id, _) in keys.items()}
        crawler = Client(intake, keys["crawler"][1])
        self.claimant = Client(intake, keys["ann"][1])
        self.other_claimant = Client(intake, keys["cid"][1])
        self.confirmer = Client(intake, keys["ben"][1])
        self.operations = Client(notifier, keys["ops"][1])
        self._import_hosts(notifier, keys["ops"][1])
        self.operations.post("/v1/outbound", {"on": True})
        crawler.post("/v1/sightings", sightings_of(world, seen_at=datetime.now(UTC).isoformat()))
        self.urls = [placed.url for placed in sorted(world.placed, key=lambda one: one.content)]
        self.claims: list[dict[str, Any]] = []
        self.contents: list[UUID] = []
        self.stopped: dict[int, tuple[float, datetime]] = {}

    def _import_hosts(self, notifier: str, key: str) -> None:
        headers = {"authorization": f"Bearer {key}", "content-type": "text/csv"}
        answer = httpx.post(
            f"{notifier}/v1/hosts", content=self.world.directory_csv(self.hosts.base), headers=headers, timeout=20
        )
        assert answer.status_code == 200, answer.text

    def demand_all(self, *, on_another_key: Sequence[int] = ()) -> None:
        """Confirm every content and wait until each of its demands was tried. Those of `on_another_key` rest on cid's key."""
        for number, (value, quality) in enumerate(self.world.hashes):
            claimant = self.other_claimant if number in on_another_key else self.claimant
            body = claim_body({"algorithm": "pdq", "value": value, "quality": quality}, case_ref=f"CASE-{number:06d}")
            claim = claimant.post("/v1/claims", body)
            self.confirmer.post(f"/v1/claims/{claim['claim_id']}/confirmation", {"assurance": "viewed"})
            self.claims.append(claim)
        wait_for(lambda: len(self.hosts.received.first_at) == len(self.urls), seconds=90, what="all demands tried")
        by_url = {item["url"]: UUID(item["content_id"]) for item in self.operations.all("/v1/takedowns")}
        self.contents = [by_url[url] for url in self.urls]

    # The stops, each by its number

    def withdraw(self, number: int) -> None:
        claim_id = self.claims[number]["claim_id"]
        self.claimant.post(f"/v1/claims/{claim_id}/withdrawal", {"reason": "subject_request"})
        self._answered(number)

    def suspend(self, number: int) -> None:
        self.claimant.post(f"/v1/content/{self.claims[number]['content_id']}/suspension", {})
        self._answered(number)

    def decide_suspension(self, number: int) -> None:
        asked = {"kind": "suspend", "content_id": str(self.contents[number]), "reason": "somebody called"}
        self.operations.post("/v1/decisions", asked)
        self._answered(number)

    def revoke_key(self, number: int) -> None:
        self.fleet.run("keys", "revoke", str(self.key_ids["cid"]), "--suspend-content")
        self._answered(number)

    def stop_fetching(self, number: int) -> None:
        """Its demands go on: only fetches must not."""
        asked = {"kind": "stop_fetching", "content_id": str(self.contents[number]), "reason": "possible_minor"}
        self.operations.post("/v1/decisions", asked)

    def _answered(self, number: int) -> None:
        self.stopped[number] = (time.monotonic(), moment_of(self.conninfo))

    # What is seen

    def begun_since(self, moment: datetime) -> dict[UUID, int]:
        with psycopg.connect(self.conninfo) as connection:
            return dict(connection.execute(_BEGUN, (moment,)).fetchall())

    def assert_stopped(self, *, while_true: Callable[[], bool] = lambda: True) -> None:
        """From each answer on nothing about its content began, while the content that nobody stopped went on."""
        last = max(moment for _, moment in self.stopped.values())
        goes_on = self.contents[-1]
        wait_for(
            lambda: while_true() and self.begun_since(last).get(goes_on, 0) >= MORE,
            seconds=60,
            what="attempts of the content that nobody stopped",
        )
        begun = {number: self.begun_since(moment) for number, (_, moment) in self.stopped.items()}
        leaked = {number: count.get(self.contents[number], 0) for number, count in begun.items()}
        assert leaked == dict.fromkeys(self.stopped, 0), "attempts and looks that began after the answer"
        late = [
            (number, at - self.stopped[number][0])
            for at, url in list(self.hosts.asked)
            for number in self.stopped
            if url == self.urls[number] and at > self.stopped[number][0] + UNDER_WAY_SECONDS
        ]
        assert not late, "what reached a host, and how many seconds after the answer"

    def assert_not_fetched_by_reports(self, numbers: Sequence[int], *, as_state: str = "refused") -> None:
        """Reports that name these contents are refused, and their URLs not fetched; another report is looked at."""
        reports = {}
        for number in numbers:
            url = self.urls[number].replace("/m/", f"/reported/{time.monotonic_ns()}/")
            body = {"url": url, "content_id": self.claims[number]["content_id"]}
            reports[url] = self.claimant.post("/v1/reports", body)["report_id"]
        control = self.urls[-1].replace("/m/", f"/reported/{time.monotonic_ns()}/")
        self.claimant.post("/v1/reports", {"url": control})

        def ended() -> bool:
            states = [self.claimant.get(f"/v1/reports/{report_id}")["state"] for report_id in reports.values()]
            return all(state == as_state for state in states) and any(url == control for _, url in self.hosts.asked)

        wait_for(ended, seconds=30, what="the reports refused, another looked at")
        assert not [url for _, url in self.hosts.asked if url in reports]


def moment_of(conninfo: str) -> datetime:
    """The database's clock."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


async def _keys(conninfo: str) -> dict[str, tuple[UUID, str]]:
    people = {
        "crawler": Role.CRAWLER,
        "ann": Role.HELPLINE,
        "ben": Role.HELPLINE,
        "cid": Role.HELPLINE,
        "ops": Role.OPERATIONS,
    }
    made = {}
    async with Database(conninfo) as database, database.transaction() as tx:
        for name, role in people.items():
            key, secret = await create_key(tx, person_id=name, organisation_id="helpline-1", role=role)
            made[name] = (key.key_id, secret)
    return made
