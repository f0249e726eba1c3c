"""The demo: the services as `serve` runs them, on a small internet, through the public API, to a table that says what came of it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.columns import Columns
from rich.console import Console

from services.standalone import serve
from services.standalone.demo import clients as people
from services.standalone.demo import judge, scenarios, table
from services.standalone.demo.clients import Clients, HostAnswers
from services.standalone.demo.closing import say_how_to_look
from services.standalone.demo.internet import Internet
from services.standalone.demo.judge import Course
from services.standalone.demo.mailbox import DemoMailServer, MailboxOnly
from services.standalone.demo.scenario import FoundTakedown, Scenario
from services.standalone.demo.scenarios import Cast
from services.standalone.demo.sites import Redirector, UploadsAgain
from services.standalone.terminal.output import console as terminal
from shared.log.kafka.local import LocalKafka, start_kafka
from shared.policy import DAY, Policy
from shared.process import logs
from shared.process.settings import Settings

POLICY = Policy(
    clock_scale=1 / 10_800,  # a day takes eight seconds
    undelivered_escalates_after=6 * DAY,  # its hosts fail for seconds, and seconds are not scaled
    webhook_timeout_seconds=2.0,
    fetch_timeout_seconds=4.0,
    # A browser's look takes a second or two, whatever a day takes.
    browser_watch_at=(),
    check_inconclusive_retry=DAY,
    observation_max_age=3 * DAY,
)
REVIEWED_BY = "nobody, this is the demo"
LIMIT_SECONDS = 85.0
SETTLED_SECONDS = 2.0
"""After all is as expected the demo looks on for so long: nothing may come that must not."""
LOOK_SECONDS = 0.4
WARNINGS_SHOWN = 20
WITH_BROWSER = "Where a plain fetch says nothing, Chromium looks, too (TAKEDOWN_BROWSER=off goes without)."
WITHOUT_BROWSER = "No browser looks: it is off, or there is none. More ends with a person."
WIDE = 150
"""Columns from which the table has room for every story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All that stands before the services start."""

    cast: Cast
    internet: Internet
    mail: DemoMailServer


async def run_demo(
    *,
    log: Literal["postgres", "kafka"],
    stay: bool,
    log_file: Path | None = None,
    browser: Mapping[str, str] | None = None,
) -> int:
    """Run it; 0 when every scenario ended as expected. `stay`: afterwards it stays up until interrupted. `browser`: its settings.

    Log lines go to `log_file`, by default into the temporary folder; the last warnings are shown when something was wrong.
    """
    console = terminal(width_of_pipe=200)
    async with serve.signals_as_event() as stop, AsyncExitStack() as stack:
        folder = stack.enter_context(_temporary_folder())
        lines = stack.enter_context(_log_lines_to(log_file or folder / "takedown.log", console))
        kafka = await stack.enter_async_context(_kafka(log, folder, console))
        console.print("Drawing several hundred pictures and computing their hashes; this takes about half a minute.")
        with table.drawing(console) as on_progress:
            cast = await asyncio.to_thread(scenarios.make, on_progress)  # in a thread, so that a Ctrl-C is heard
        stage = await stack.enter_async_context(_stage(cast))
        listening = serve.listen("127.0.0.1", 0)
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = settings_of_demo(folder, base_url, stage, kafka, browser or {})
        _introduce(console, settings, log)
        console.print("Starting PostgreSQL and the services …")
        runtime = await stack.enter_async_context(serve.standalone(settings, listening))
        client = await stack.enter_async_context(people.open_clients(runtime.database, base_url))
        if runtime.browser is not None:
            await runtime.browser.prepare()
        console.print(WITHOUT_BROWSER if runtime.browser is None else WITH_BROWSER)
        code = await _play(
            console, stage, client, base_url, stop, lambda: runtime.browser is not None and runtime.browser.usable
        )
        if code:
            _show_warnings(console, lines)
        if stay and not stop.is_set():
            await say_how_to_look(console, runtime.database, base_url, client)
            await stop.wait()
    return code


def settings_of_demo(
    folder: Path, base_url: str, stage: Stage, kafka: LocalKafka | None, browser: Mapping[str, str]
) -> Settings:
    """Nothing of the environment enters but the browser's settings: the same on every machine."""
    values: dict[str, Any] = {
        name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()
    }
    addresses = {name: str(address) for name, address in stage.internet.addresses.items()}
    values |= {
        "data_dir": folder / "data",
        "log": "kafka" if kafka is not None else "postgres",
        "kafka_bootstrap_servers": kafka.bootstrap_servers if kafka is not None else None,
        "public_url": base_url,
        "organisation_name": "Demo helpline",
        "reviewed_by": REVIEWED_BY,
        "smtp_host": stage.mail.host,
        "smtp_port": stage.mail.port,
        "smtp_tls": "none",
        "smtp_from": "demands@helpline.test",
        "outbound_allow": tuple(sorted(set(addresses.values()))),
        "static_hosts": addresses,
        "allow_static_hosts": True,
        "vantage": "demo",
        "policy": POLICY,
    } | dict(browser)
    return Settings.model_construct(None, **values)


@asynccontextmanager
async def _stage(cast: Cast) -> AsyncIterator[Stage]:
    internet = Internet(cast.sites)
    mail = DemoMailServer({site.email: site for site in cast.sites if isinstance(site, MailboxOnly) and site.email})
    async with internet.open(), mail.open():
        for site in cast.sites:
            if isinstance(site, Redirector):
                site.inside["/to-inside.jpg"] = f"http://{internet.tripwire}/"
        yield Stage(cast=cast, internet=internet, mail=mail)


def _introduce(console: Console, settings: Settings, log: str) -> None:
    policy = settings.policy
    console.print(f"Event log: {log}. Data: {settings.data_dir}, removed at the end.")
    console.print("The services run as in real use, with these differences:")
    console.print(
        f"- Time runs faster (clock_scale 1/{1 / policy.clock_scale:.0f}): a day takes"
        f" {policy.scaled(DAY).total_seconds():g} seconds. An undelivered demand goes to the next recipient after"
        f" {_days(policy.undelivered_escalates_after)}; we wait {policy.webhook_timeout_seconds:g} s for a host to take a message,"
        f" {policy.fetch_timeout_seconds:g} s for a page. A demand rests on what we saw within {_days(policy.observation_max_age)}, and"
        f" what said nothing is looked at again after {_days(policy.check_inconclusive_retry)}."
    )
    console.print(
        "- Demands name the law uk_osa_20a although no lawyer has reviewed its text here. In real use somebody must."
    )
    console.print("- We may connect to these addresses on this machine, which belong to the hosts of the demo:")
    names = [f"{name} {address}" for name, address in settings.static_hosts.items()]
    console.print(Columns(names, padding=(0, 2)), style="dim")


def _days(wait: timedelta) -> str:
    return f"{wait / DAY:g} of these days"


# The play


async def _play(
    console: Console,
    stage: Stage,
    client: Clients,
    base_url: str,
    stop: asyncio.Event,
    browser_looks: Callable[[], bool],
) -> int:
    while not await client.operations.is_ready():  # noqa: ASYNC110 - over HTTP, as anybody asks
        await asyncio.sleep(0.05)
    watch = table.Stopwatch()
    answers = HostAnswers(base_url)
    for site in stage.cast.sites:
        site.answers = answers
        if isinstance(site, MailboxOnly):
            site.open_and_answer = answers.open_and_answer
    courses = {scenario.name: Course(scenario=scenario, started_at=0) for scenario in stage.cast.scenarios}
    observer = _Observer(client, stage, list(courses.values()), watch, browser_looks)
    screen = table.Screen(console)
    with screen.live():
        async with asyncio.TaskGroup() as group:
            acting = group.create_task(_act(client, stage, courses))
            await observer.watch(screen, stop)
            acting.cancel()
    wrong = await observer.look()
    console.print(table.final_table(courses.values(), wrong, stories=console.width >= WIDE, browser=browser_looks()))
    faults = _faults_of_the_whole(stage, answers)
    for fault in faults:
        console.print(f"✗ {fault}", style="red")
    good = sum(not found for found in wrong.values())
    console.print(
        f"{good} of {len(wrong)} scenarios as expected, {watch.seconds:.0f} s after the services were ready."
        f" {len(stage.cast.unrelated)} unrelated pictures were left alone, {observer.takedowns} takedowns were made, and hosts"
        f" received and verified {sum(len(site.received) for site in stage.cast.sites)} messages."
    )
    return 0 if good == len(wrong) and not faults else 1


async def _act(client: Clients, stage: Stage, courses: Mapping[str, Course]) -> None:
    """What helplines and crawlers do. Hosts act by themselves."""
    await client.operations.post_text("/v1/hosts", scenarios.directory_csv(stage.cast.sites), content_type="text/csv")
    await client.operations.post("/v1/outbound", {"on": True})
    unrelated = [people.sighting(url, hashes) for url, hashes in stage.cast.unrelated]
    await people.sight(client, [*unrelated, *_sightings(stage.cast.scenarios, FoundTakedown.BEFORE)])
    claims: dict[str, str] = {}

    async def claim(scenario: Scenario, number: int) -> None:
        claims[scenario.name] = await people.declare(client, scenario, number)
        await people.confirm(client, claims[scenario.name])

    async with asyncio.TaskGroup() as group:
        for number, scenario in enumerate(stage.cast.scenarios, start=1):
            group.create_task(claim(scenario, number))
    await people.sight(client, _sightings(stage.cast.scenarios, FoundTakedown.SIGHTED))
    await people.sight(client, _sightings(stage.cast.scenarios, FoundTakedown.MADE_UP))
    for scenario in stage.cast.scenarios:
        for target in scenario.targets:
            if target.found is FoundTakedown.REPORTED and target.page is not None:
                await client.helpline_a.post("/v1/reports", {"url": scenario.site.url(target.page), "fetch": "now"})
    async with asyncio.TaskGroup() as group:
        for scenario in stage.cast.scenarios:
            if scenario.withdraw:
                group.create_task(_withdraw(client, scenario, claims[scenario.name]))
            if isinstance(scenario.site, UploadsAgain):
                group.create_task(_sight_again(client, scenario, scenario.site))


async def _withdraw(client: Clients, scenario: Scenario, claim_id: str) -> None:
    while not scenario.site.heard("demand.issued"):  # noqa: ASYNC110 - a host's inbox is a list
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    await people.withdraw(client, claim_id)


async def _sight_again(client: Clients, scenario: Scenario, site: UploadsAgain) -> None:
    await site.uploaded_again.wait()
    await people.sight(client, _sightings([scenario], FoundTakedown.SIGHTED))


def _sightings(among: Sequence[Scenario], found: FoundTakedown) -> list[dict[str, Any]]:
    return [
        people.sighting(
            scenario.site.url(target.path),
            scenario.hashes[target.path],
            page_url=scenario.site.url(target.page) if target.page else None,
        )
        for scenario in among
        for target in scenario.targets
        if target.found is found
    ]


def _faults_of_the_whole(stage: Stage, answers: HostAnswers) -> list[str]:
    internet = stage.internet
    faults = [f"a host's answer was refused: {text}" for text in dict.fromkeys(answers.failed)]
    if internet.unsigned:
        faults.append(f"{internet.unsigned} messages without a good signature")
    if internet.inward:
        faults.append(f"{internet.inward} requests reached an inside address")
    faults += [f"{one.name} got a message" for one in stage.cast.galleries if one.received]
    return faults


class _Observer:
    """Reads the public API again and again, and judges."""

    def __init__(
        self,
        client: Clients,
        stage: Stage,
        courses: Sequence[Course],
        watch: table.Stopwatch,
        browser_looks: Callable[[], bool],
    ) -> None:
        self._browser_looks = browser_looks
        self._client = client
        self._stage = stage
        self._courses = courses
        self._watch = watch
        self._register = judge.RegisterState()
        self.takedowns = 0

    async def watch(self, screen: table.Screen, stop: asyncio.Event) -> None:
        """Until all is as expected and stays so, the time is over, or it is interrupted."""
        good_since: float | None = None
        while self._watch.seconds < LIMIT_SECONDS and not stop.is_set():
            wrong = await self.look()
            screen.show(self._courses)
            if any(wrong.values()):
                good_since = None
            elif good_since is None:
                good_since = self._watch.seconds
            elif self._watch.seconds - good_since > SETTLED_SECONDS:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> dict[str, list[str]]:
        """What is wrong (yet), by scenario name."""
        api = self._client.operations
        takedowns = [one async for one in api.items("/v1/takedowns", limit=200)]
        kinds: defaultdict[str, list[str]] = defaultdict(list)
        async for task in api.items("/v1/tasks", limit=200):
            kinds[str(task.get("takedown_id"))].append(task["kind"])
        self.takedowns = len(takedowns)
        by_url = self._register.file(takedowns)
        wrong = {}
        for course in self._courses:
            course.states = {url: one for url, one in by_url.items() if course.scenario.site.domain in url}
            course.check_details = await self._check_details(course)
            found = judge.wrong(course, self._stage.cast.provider, kinds, browser=self._browser_looks())
            wrong[course.scenario.name] = found
            if found:
                course.as_expected_at = None
            elif course.as_expected_at is None:
                course.as_expected_at = self._watch.seconds
        return wrong

    async def _check_details(self, course: Course) -> frozenset[str]:
        """Read only where the scenario says what they must be."""
        if course.scenario.check_detail is None:
            return frozenset()
        details: set[str] = set()
        for takedown in course.states.values():
            shown = await self._client.operations.get(f"/v1/takedowns/{takedown['takedown_id']}")
            details.update(str(check["detail"]) for check in shown["checks"] if check["ended_at"] is not None)
        return frozenset(details)


# What it stands on


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="takedown-demo-"))
    path.chmod(0o711)  # PostgreSQL, under its own account when we are root, passes through
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _log_lines_to(path: Path, console: Console) -> Iterator[Path]:
    """Log lines go to a file, away from the table; the last warnings are shown when the demo breaks off."""
    with path.open("w", buffering=1) as file:
        logs.configure(format_="json", level="info", file=file)
        try:
            yield path
        except Exception:
            _show_warnings(console, path)
            raise


def _show_warnings(console: Console, path: Path) -> None:
    found = [line for line in path.read_text().splitlines() if '"level": "info"' not in line]
    for line in found[-WARNINGS_SHOWN:]:
        console.print(line, style="dim", soft_wrap=True)


@asynccontextmanager
async def _kafka(log: str, folder: Path, console: Console) -> AsyncIterator[LocalKafka | None]:
    if log != "kafka":
        yield None
        return
    console.print("Starting a local Apache Kafka; the first time it is downloaded …")
    start = partial(start_kafka, data_dir=folder / "kafka", on_progress=lambda line: console.print(line, style="dim"))
    kafka = await asyncio.to_thread(start)
    try:
        yield kafka
    finally:
        await asyncio.to_thread(kafka.stop)
