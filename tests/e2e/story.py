"""The story that whole-process tests tell: sightings, confirmations, and takedowns that all have to end `removed`.

Half of the sightings come before and half after the confirmations; hosts misbehave as long as they are told to; clients resend with
the same Idempotency-Key. Counted at the hosts: one distinct `webhook-id` of `demand.issued` for each (URL, recipient).
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.claims import claim_body
from tests.e2e.processes import Client, Fleet
from tests.e2e.world import Hosts, World, make_world, sightings_of

CONTENTS, COPIES, SIGHTINGS, HOSTS = 200, 2, 5_000, 40
POLICY = """
[policy]
gone_confirmation_after = 4
first_check_retry_base = 1
first_check_retry_cap = 5
check_inconclusive_retry = 2
open_check_every = 10
delivery_retry_base = 0.5
delivery_retry_cap = 5
observation_max_age = 600
undelivered_escalates_after = 21600
"""


def whole_world() -> World:
    """The world of the kill tests."""
    return make_world(contents=CONTENTS, copies=COPIES, sightings=SIGHTINGS, hosts=HOSTS)


def config(path: Path, hosts: Hosts, *, policy: str = POLICY) -> str:
    """A settings file: the policy shortened, the world's hosts in the static table and on the allow-list."""
    names = [*hosts.world.hosts, *(f"provider-{n}.test" for n in range(10))]
    table = "\n".join(f'"{name}" = "{hosts.endpoint}"' for name in names)
    path.write_text(
        f'allow_static_hosts = true\noutbound_allow = ["{hosts.endpoint}"]\n[static_hosts]\n{table}\n{policy}'
    )
    return str(path)


def environment(settings: str, **more: str) -> dict[str, str]:
    return {
        "TAKEDOWN_CONFIG": settings,
        "TAKEDOWN_ROOT_KEY": secrets.token_hex(32),
        "TAKEDOWN_PUBLIC_URL": "http://127.0.0.1:1",
        "TAKEDOWN_LOG_FORMAT": "json",
        "TAKEDOWN_BROWSER": "off",
        **more,
    }


def key(fleet: Fleet, role: str, person: str) -> str:
    arguments = ("keys", "create", "--role", role, "--person", person, "--organisation", "helpline-1", "--json")
    secret: str = json.loads(fleet.run(*arguments))["key"]
    return secret


class Story:
    """What the clients do, in steps a test can put kills between."""

    def __init__(
        self, world: World, fleet: Fleet, *, intake: str, notifier: str, directory: Path, hosts: Hosts
    ) -> None:
        self.world = world
        self.fleet = fleet
        self.base = intake
        self.crawler = Client(intake, key(fleet, "crawler", "crawler-1"))
        self.claimant = Client(intake, key(fleet, "helpline", "person-1"))
        self.confirmer = Client(intake, key(fleet, "helpline", "person-2"))
        operations = key(fleet, "operations", "person-3")
        self.operations = Client(notifier, operations)
        directory.write_text(world.directory_csv(hosts.base))
        fleet.run("hosts", "import", str(directory), TAKEDOWN_KEY=operations, TAKEDOWN_NOTIFIER_URL=notifier)
        fleet.run("outbound", "on", TAKEDOWN_KEY=operations, TAKEDOWN_NOTIFIER_URL=notifier)
        self.sightings = bodies = sightings_of(world, seen_at=datetime.now(UTC).isoformat())
        batches = [bodies[start : start + 100] for start in range(0, len(bodies), 100)]
        half = len(batches) // 2
        confirmations = [range(start, start + 20) for start in range(0, len(world.hashes), 20)]
        self.steps: list[Callable[[], None]] = [
            *(lambda batch=batch: self.sight(batch) for batch in batches[:half]),
            *(lambda some=some: self.confirm(some) for some in confirmations),
            *(lambda batch=batch: self.sight(batch) for batch in batches[half:]),
        ]

    def sight(self, batch: list[dict[str, Any]]) -> None:
        answer = self.crawler.post("/v1/sightings", batch)
        refused = [item for item in answer["items"] if "sighting_id" not in item]
        assert not refused, refused[:3]

    def confirm(self, numbers: range) -> None:
        for number in numbers:
            self.confirmer.post(f"/v1/claims/{self.claim(number)}/confirmation", {"assurance": "viewed"})

    def claim(self, number: int) -> str:
        """Declare a picture of the world; the claim's id."""
        value, quality = self.world.hashes[number]
        claim = self.claimant.post(
            "/v1/claims",
            claim_body({"algorithm": "pdq", "value": value, "quality": quality}, case_ref=f"CASE-{number:06d}"),
        )
        claim_id: str = claim["claim_id"]
        return claim_id

    def states(self) -> Counter[str]:
        return Counter(item["state"] for item in self.operations.all("/v1/takedowns"))

    def all_removed(self) -> bool:
        return self.states() == {"removed": len(self.world.placed)}


def check_outcome(story: Story, hosts: Hosts) -> None:
    """The takedowns are the generated list, and the hosts heard each demand under one id."""
    world = story.world
    takedowns = story.operations.all("/v1/takedowns")
    assert Counter(item["state"] for item in takedowns) == {"removed": len(world.placed)}
    by_content = defaultdict(set)
    for item in takedowns:
        by_content[item["content_id"]].add(item["url"])
    expected = defaultdict(set)
    for placed in world.placed:
        expected[placed.content].add(placed.url)
    assert sorted(map(sorted, by_content.values())) == sorted(map(sorted, expected.values()))

    issued = {(who, url): ids for (kind, who, url), ids in hosts.received.ids.items() if kind == "demand.issued"}
    assert {pair for pair, ids in issued.items() if len(ids) != 1} == set()
    assert {url for _, url in issued} == {placed.url for placed in world.placed}
    assert {(placed.host, placed.url) for placed in world.placed} <= set(issued)
    assert hosts.received.unsigned == 0
    assert not list(hosts.present())


def in_background(story: Story) -> Callable[[], bool]:
    """Do the story's steps in a thread; the returned function says whether it is through (and raises what it raised)."""
    errors: list[BaseException] = []

    def tell() -> None:
        try:
            for step in story.steps:
                step()
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            errors.append(error)

    teller = threading.Thread(target=tell, name="story", daemon=True)
    teller.start()

    def through() -> bool:
        if errors:
            raise errors[0]
        return not teller.is_alive()

    return through
