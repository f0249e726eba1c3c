"""A look as a browser has it: `Browser.look` gives what a person would see at a URL, in bounded time, bytes and memory.

One Chromium serves all looks, each in a context of its own (no cookies, no cache, nothing of the look before). It is started when
first needed, again after a crash or some looks, and reaches nothing but our proxy. Whatever goes wrong is an outcome: `look`
raises nothing but the cancellation of its caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog

from shared.errors import Transient
from shared.media.browser.drawing import CommandFailed, DebuggingSession
from shared.media.browser.look import BrowserLimits, BrowserLook, BrowserOutcome, Unfinished
from shared.media.browser.outcomes import outcome_of
from shared.media.browser.page_scripts import NO_SOCKETS
from shared.media.browser.process import BrowserProgram, BrowserStartTimedOut, BrowserUnavailable
from shared.media.browser.program import VIEWPORT
from shared.media.browser.running import RunningBrowser
from shared.media.browser.traffic import PageTraffic
from shared.media.browser.turns import FairTurns, LooksOfTheHour
from shared.media.browser.visit import BrowserVisit
from shared.outbound.guard import AddressGuard, AddressRefused
from shared.outbound.proxy import BudgetSpent, ForwardProxy, ProxyAccount, ProxyBudget
from shared.process.metrics import BROWSER_LOOKS
from shared.urls import BadUrl, href_with_fragment, parse_url, registrable_domain

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, Page

log = structlog.get_logger(__name__)

START_AGAIN_SECONDS = 300.0
"""How long after a failed start the next one is tried: until then no look waits for one."""
SANDBOX_HINT = "its sandbox needs user namespaces, which some kernels and containers give nobody"
BUSY_START_AGAIN_SECONDS = 30.0
"""The same where it took too long."""
_PREPARE_SECONDS = 15.0
_CLOSE_SECONDS = 5.0


class Browser:
    """Looks with one Chromium. Use it in `async with`, or call `aclose`. `program` None: there is no browser, and every look says so.
    `user_agent` None: Chromium's own without the word that says nobody sits before it.

    `user_agent` None: Chromium's own without the word that says nobody sits before it.
    """

    def __init__(
        self,
        program: BrowserProgram | None,
        guard: AddressGuard,
        *,
        limits: BrowserLimits | None = None,
        user_agent: str | None = None,
    ) -> None:
        self._program = program
        self._guard = guard
        self._limits = limits or BrowserLimits()
        self._user_agent = user_agent
        self._hour = LooksOfTheHour(limit=self._limits.looks_an_hour, site_share=self._limits.site_share)
        self._turns = FairTurns(self._limits.looks_at_once, self._hour)
        self._starting = asyncio.Lock()
        self._proxy: ForwardProxy | None = None
        self._running: RunningBrowser | None = None
        self._not_before = 0.0
        self._startable: bool | None = None
        self._closed = False

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def available(self) -> bool:
        """False where there is none, so that looking is of no use."""
        return self._program is not None

    @property
    def usable(self) -> bool:
        """Whether there is a browser that could be started so far. That it cannot be started any more is temporary."""
        return self.available and self._startable is not False

    @property
    def supervisor_pid(self) -> int | None:
        """The process id of Chromium's supervisor; None while there is none."""
        return self._running.process.supervisor_pid if self._running is not None else None

    async def aclose(self) -> None:
        """End the browser. A look under way ends as `crashed`."""
        self._closed = True
        async with self._starting:
            running, self._running = self._running, None
            if running is not None:
                await running.aclose()
            if self._proxy is not None:
                await self._proxy.__aexit__(None, None, None)
                self._proxy = None

    async def prepare(self) -> None:
        """Start the browser before the first look. If that fails, `usable` and the log say so."""
        if self._program is not None:
            with contextlib.suppress(BrowserUnavailable):
                await self._in_use(self._program)

    async def look(self, url: str, *, referer: str | None = None, share: float = 1.0) -> BrowserLook:
        """What a person would see there. `referer`: the page on which the URL stands, for a picture's own URL. `share`: of the
        hour's looks, as many as are there for a look of this kind."""
        begun = time.monotonic()
        look = await self._look_of_the_hour(url, referer, share)
        BROWSER_LOOKS.labels(look.outcome.value).inc()
        return replace(look, elapsed_seconds=time.monotonic() - begun)

    async def _look_of_the_hour(self, url: str, referer: str | None, share: float) -> BrowserLook:
        if self._program is None or self._closed:
            return BrowserLook(outcome=BrowserOutcome.OFF)
        try:
            target = href_with_fragment(url)
            site = await asyncio.to_thread(registrable_domain, parse_url(url).host)  # reads a list, the first time
        except BadUrl as error:
            return BrowserLook(outcome=BrowserOutcome.BAD_URL, detail=error.title)
        taken = self._hour.take(site, time.monotonic(), part=share)
        if isinstance(taken, BrowserOutcome):
            return BrowserLook(outcome=taken)
        made = False
        try:
            async with self._turns.turn(site, within_seconds=self._limits.turn_seconds):
                made, begun = True, time.monotonic()
                try:
                    return await self._look_in_turn(self._program, target, referer)
                finally:
                    self._hour.lasted(taken, time.monotonic() - begun)
        except TimeoutError:
            return BrowserLook(outcome=BrowserOutcome.BUSY)
        finally:
            if not made:
                self._hour.give_back(taken)

    async def _look_in_turn(self, program: BrowserProgram, target: str, referer: str | None) -> BrowserLook:
        try:
            try:
                return await self._look(await self._in_use(program), target, referer)
            except _NotBegun:  # the browser had broken before: the look before it did that, not this page
                await self._give_up()
                return await self._look(await self._in_use(program), target, referer)
        except BrowserUnavailable as error:
            return BrowserLook(outcome=BrowserOutcome.UNAVAILABLE, detail=str(error))
        except Exception as error:  # noqa: BLE001 - a page's doing ends its look alone: recorded as its outcome
            log.warning("browser.look_failed", error=type(error).__name__)
            await self._give_up()
            return BrowserLook(outcome=BrowserOutcome.CRASHED, detail=type(error).__name__)

    async def _in_use(self, program: BrowserProgram) -> RunningBrowser:
        """The browser that runs, or a new one. Raises BrowserUnavailable."""
        async with self._starting:
            running = self._running
            worn = running is not None and running.looks >= self._limits.looks_each_browser and running.users == 0
            if running is not None and (running.ended.is_set() or worn):
                self._running = None
                await running.aclose()
            if self._closed:
                raise BrowserUnavailable("it is closed.")
            if self._proxy is None:
                self._proxy = await ForwardProxy(self._guard).__aenter__()
            if self._running is None:
                self._running = await self._started(program, self._proxy.url)
            return self._running

    async def _started(self, program: BrowserProgram, proxy_url: str) -> RunningBrowser:
        if time.monotonic() < self._not_before:
            raise BrowserUnavailable("it could not be started a moment ago.")
        try:
            running = await RunningBrowser.start(
                program,
                proxy_url,
                max_memory_bytes=self._limits.memory_bytes,
                start_seconds=self._limits.start_seconds,
            )
        except BrowserUnavailable as error:
            wait = BUSY_START_AGAIN_SECONDS if isinstance(error, BrowserStartTimedOut) else START_AGAIN_SECONDS
            self._startable = bool(self._startable) or isinstance(error, BrowserStartTimedOut)
            self._not_before = time.monotonic() + wait
            hint = {"hint": SANDBOX_HINT} if program.sandbox and not self._startable else {}
            log.warning("browser.not_started", reason=str(error), again_in_seconds=wait, **hint)
            raise
        self._startable = True
        return running

    async def _give_up(self) -> None:
        """The browser is no longer trusted to work: the next look starts another."""
        async with self._starting:
            running, self._running = self._running, None
            if running is not None:
                await running.aclose()

    async def _look(self, running: RunningBrowser, url: str, referer: str | None) -> BrowserLook:
        limits = self._limits
        assert self._proxy is not None
        budget = ProxyBudget(max_requests=limits.max_requests, max_hosts=limits.max_hosts, max_bytes=limits.max_bytes)
        with self._proxy.account(budget) as account, running.in_use():
            context, page, session = await self._prepare(running, account)
            closed = False
            try:
                traffic = PageTraffic(page, limits)
                await traffic.attach(context)
                visit = BrowserVisit(page, session, traffic, limits, time.monotonic() + limits.total_seconds)
                crashed = asyncio.Event()
                page.on("crash", lambda _: crashed.set())
                error = await self._visit(visit, url, referer, crashed, running, account)
                await traffic.close()
                look = _result(visit, traffic, account, error, page.url)
                self._proxy.end(account)  # a context that closes lets go of requests that were held back
                closed = await _closed_in_time(context) and await self._is_small(running)
            finally:
                if not closed and not running.ended.is_set():
                    await self._give_up()  # what does not end, or leaves much behind, is not the next look's to bear
            return look

    async def _prepare(
        self, running: RunningBrowser, account: ProxyAccount
    ) -> tuple[BrowserContext, Page, DebuggingSession]:
        """A context, a page and a session for one look. Raises _NotBegun: nothing of the page has run."""
        from playwright.async_api import Error

        assert self._proxy is not None
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                context = await running.browser.new_context(
                    proxy={
                        "server": self._proxy.url,
                        "username": account.user,
                        "password": account.password,
                        "bypass": "<-loopback>",
                    },
                    viewport={"width": VIEWPORT[0], "height": VIEWPORT[1]},
                    user_agent=self._user_agent or running.user_agent,
                    service_workers="block",
                    accept_downloads=False,
                )
                await context.add_init_script(NO_SOCKETS)
                page = await context.new_page()
                return context, page, _PageSession(await context.new_cdp_session(page))
        except (Error, TimeoutError) as error:
            raise _NotBegun(type(error).__name__) from None

    async def _is_small(self, running: RunningBrowser) -> bool:
        """Whether a look has left little memory behind: what is freed late would count against the next one."""
        return await asyncio.to_thread(running.process.memory_bytes) <= self._limits.memory_bytes * 3 // 4

    async def _visit(
        self,
        visit: BrowserVisit,
        url: str,
        referer: str | None,
        crashed: asyncio.Event,
        running: RunningBrowser,
        account: ProxyAccount,
    ) -> Exception | None:
        """Why the visit ended early; None where it came to its end."""
        assert self._proxy is not None
        task = asyncio.ensure_future(visit.run(url, referer))
        troubles = [asyncio.ensure_future(event.wait()) for event in (crashed, running.ended)]
        try:
            await asyncio.wait(
                [task, *troubles], timeout=self._limits.total_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                error = task.exception()
                return error if error is None or isinstance(error, Exception) else RuntimeError(type(error).__name__)
            if crashed.is_set() or running.ended.is_set():
                return BrowserUnavailable("too much memory." if running.over_memory else "it crashed.")
            return TimeoutError()
        except asyncio.CancelledError:
            self._proxy.end(account)  # whoever called it off wants nothing more to leave, not even while it ends
            raise
        finally:
            for one in (task, *troubles):
                one.cancel()
            await asyncio.wait([task, *troubles], timeout=1.0)


class _NotBegun(Transient):
    """The browser could not be made ready for a look."""


class _PageSession:
    """Playwright's session of a page, whose errors are ours."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        from playwright.async_api import Error

        try:
            return await self._session.send(method, params)
        except Error:
            raise CommandFailed(method) from None


async def _closed_in_time(context: BrowserContext) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await context.close()
            return True
    return False


def _result(
    visit: BrowserVisit, traffic: PageTraffic, account: ProxyAccount, error: Exception | None, url: str
) -> BrowserLook:
    """The look that a visit was. `error`: why it ended early. After an answer was drawn, its end is what may be missing, unless the browser
    broke."""
    last = traffic.hops[-1] if traffic.hops else None
    unfinished = visit.unfinished | traffic.unfinished
    if account.spent or any(isinstance(one, (AddressRefused, BudgetSpent)) for one in account.failures.values()):
        unfinished.add(Unfinished.BUDGET)
    outcome, detail = BrowserOutcome.DRAWN, ""
    if error is not None:
        outcome, detail = outcome_of(
            error, account.failures.get(_host_of(traffic.asked_for)), last.status if last else None
        )
        if outcome is BrowserOutcome.TIMED_OUT and visit.drawn:
            outcome = BrowserOutcome.DRAWN
            unfinished.add(Unfinished.TIME)
    return BrowserLook(
        outcome=outcome,
        detail=detail,
        final_url=url.partition("#")[0] if url.startswith(("http:", "https:")) else "",
        status=last.status if last else None,
        hops=tuple(traffic.hops),
        title=visit.title,
        text=visit.text,
        password_field=visit.password_field,
        unfinished=frozenset(unfinished),
        drawn=tuple(visit.drawn),
        answers=tuple(traffic.answers),
        missing_media=tuple(sorted(traffic.missing)),
        requests=traffic.requests,
        bytes_moved=account.bytes_moved,
    )


def _host_of(url: str) -> str:
    try:
        return parse_url(url).host
    except BadUrl:
        return ""
