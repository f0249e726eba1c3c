"""The notifier killed -9 amid a browser's looks: every takedown ends as it must, and nothing of a browser or of a picture stays.

Fifty URLs. Most hosts take the picture down; some put another one there; some answer 404 with a page whose script shows it, which a
browser alone sees: those must never be taken for removed.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from aiohttp import web

from shared.media.browser.process import descendants
from tests.browser.look_world import needs_chromium
from tests.disk import alive, files_with
from tests.e2e.processes import Fleet, free_port, wait_for
from tests.e2e.story import Story, config, environment
from tests.e2e.world import Hosts, World, encoded, make_world, picture
from tests.fixtures_servers import wait_until

pytestmark = pytest.mark.timeout(300)

CONTENTS, COPIES, HOSTS = 10, 5, 10
KILLS = 3
GONE_SECONDS = 5
POLICY = """
[policy]
gone_confirmation_after = 2
first_check_retry_base = 1
first_check_retry_cap = 5
check_inconclusive_retry = 5
open_check_every = 10
observation_max_age = 600
"""
BY_SCRIPT = (
    "<!doctype html><title>404</title><body>"
    "<script>document.body.appendChild(new Image()).src = location.pathname + '.shown'</script>"
)


class ManyAnswers(Hosts):
    """Of the URLs that were taken down, `shown` still show it by a script, and `replaced` show another picture."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        urls = [one.url for one in world.placed]
        self.shown = frozenset(urls[0::17])
        self.replaced = frozenset(urls[8::17])
        self.drawing = threading.Event()
        """A browser has asked for something."""
        self._other = encoded(picture(987_654_321))

    async def _get(self, request: web.Request) -> web.Response:
        if "Chrome/" in request.headers.get("User-Agent", ""):
            self.drawing.set()
        host = request.host.partition(":")[0]
        url = f"http://{host}{request.path}"
        if url.removesuffix(".shown") != url and url.removesuffix(".shown") in self.shown:
            return web.Response(body=self._by_url[url.removesuffix(".shown")], content_type="image/jpeg")
        if url in self._gone and url in self.shown:
            return web.Response(status=404, text=BY_SCRIPT, content_type="text/html")
        if url in self._gone and url in self.replaced:
            return web.Response(body=self._other, content_type="image/jpeg")
        return await super()._get(request)


def browsers_below(pid: int) -> list[int]:
    """Chromium's processes, and those that start and watch it."""

    def command(one: int) -> bytes:
        try:
            return Path(f"/proc/{one}/cmdline").read_bytes()
        except OSError:
            return b""

    return [one for one in descendants(pid) if b"chrom" in command(one)]


def kill_amid_a_look(fleet: Fleet, hosts: ManyAnswers) -> int:
    """Kill the notifier while its browser loads something; how many of the browser's processes there were, none of which stays."""
    hosts.drawing.clear()
    wait_for(hosts.drawing.is_set, seconds=60, what="a browser looks")
    below = browsers_below(fleet.pid("notifier"))
    fleet.kill("notifier")
    wait_until(lambda: not [pid for pid in below if alive(pid)], seconds=GONE_SECONDS)
    fleet.start("notifier")
    fleet.wait_ready("notifier")
    return len(below)


def seen_by_browser(story: Story, url: str) -> bool:
    """The last word of its checks: there, as a browser draws it."""
    (takedown,) = (one for one in story.operations.all("/v1/takedowns") if one["url"] == url)
    checks = story.operations.get(f"/v1/takedowns/{takedown['takedown_id']}")["checks"]
    drawn = [one for one in checks if one["browser"]]
    return bool(drawn) and drawn[0]["outcome"] == "present"


def as_it_must_end(story: Story, hosts: ManyAnswers) -> bool:
    states = story.states()
    assert states["removed"] <= len(story.world.placed) - len(hosts.shown), "what a browser shows is not removed"
    return states == {"removed": len(story.world.placed) - len(hosts.shown), "open": len(hosts.shown)}


def test_killed_amid_a_browsers_looks(fresh_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chromium = needs_chromium().path
    started = time.time() - 1
    world = make_world(contents=CONTENTS, copies=COPIES, sightings=CONTENTS * COPIES, hosts=HOSTS, seed=7)
    ports = {name: free_port() for name in ("intake", "matcher", "notifier")}
    with ManyAnswers(world) as hosts:
        settings = environment(
            config(tmp_path / "takedown.toml", hosts, policy=POLICY),
            TAKEDOWN_DATABASE=fresh_database,
            TAKEDOWN_DATA_DIR=str(tmp_path / "data"),
            TAKEDOWN_BROWSER=str(chromium),
        )
        with Fleet(settings, logs=tmp_path, ports=ports) as fleet:
            fleet.run("migrate")
            fleet.run("topics", "ensure")
            for name in ports:
                fleet.start(name)
            fleet.wait_ready()
            story = Story(
                world,
                fleet,
                intake=f"http://127.0.0.1:{ports['intake']}",
                notifier=f"http://127.0.0.1:{ports['notifier']}",
                directory=tmp_path / "hosts.csv",
                hosts=hosts,
            )
            story.confirm(range(CONTENTS))
            story.sight(story.sightings)
            killed = [kill_amid_a_look(fleet, hosts) for _ in range(KILLS)]
            assert all(killed), "each kill met a browser that ran"
            wait_for(lambda: as_it_must_end(story, hosts), seconds=120, what="all as it must end", every=1.0)
            for url in sorted(hosts.shown):
                wait_for(lambda: seen_by_browser(story, url), seconds=60, what="a browser saw it", every=1.0)  # noqa: B023 - called at once
            assert as_it_must_end(story, hosts)
            left = browsers_below(fleet.pid("notifier"))
    issued = {(who, url): ids for (kind, who, url), ids in hosts.received.ids.items() if kind == "demand.issued"}
    assert {pair for pair, ids in issued.items() if len(ids) != 1} == set()
    assert {url for _, url in issued} == {one.url for one in world.placed}
    wait_until(lambda: not [pid for pid in left if alive(pid)], seconds=GONE_SECONDS)
    pieces = [body[len(body) // 2 :][:48] for body in (*world.pictures, encoded(picture(987_654_321)))]
    assert files_with(pieces, newer_than=started) == []
    assert os.listdir(tmp_path)
    with capsys.disabled():
        print(f"\n  killed {len(killed)} times amid looks of {killed} processes; {time.time() - started:.0f} s")
