"""A Chromium that runs, with Playwright attached: the one file that starts Playwright."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from shared.media.browser.bridge import DebuggingBridge
from shared.media.browser.process import BrowserProcess, BrowserProgram, BrowserStartTimedOut, BrowserUnavailable

if TYPE_CHECKING:
    from playwright.async_api import Browser as AttachedBrowser
    from playwright.async_api import Playwright

log = structlog.get_logger(__name__)

_STOP_SECONDS = 5.0
_MEMORY_WATCH_SECONDS = 0.5


class RunningBrowser:
    """`ended` is set once the browser is gone, by itself or because it took too much memory (`over_memory`)."""

    def __init__(self, process: BrowserProcess, ended: asyncio.Event, max_memory_bytes: int) -> None:
        self.process = process
        self.ended = ended
        self.over_memory = False
        self.looks = 0
        self.users = 0
        self.user_agent = ""
        self.browser: AttachedBrowser
        self._max_memory_bytes = max_memory_bytes
        self._bridge: DebuggingBridge | None = None
        self._playwright: Playwright | None = None
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, program: BrowserProgram, proxy_url: str, *, max_memory_bytes: int, start_seconds: float
    ) -> RunningBrowser:
        """Start Chromium and attach Playwright. Raises BrowserUnavailable."""
        try:
            import playwright.async_api  # noqa: F401 - an extra: `browser`
        except ImportError:
            raise BrowserUnavailable("Playwright is not installed (the extra `browser`).") from None
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def on_end() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(ended.set)

        process = await asyncio.to_thread(BrowserProcess.start, program, proxy_url=proxy_url, on_end=on_end)
        running = cls(process, ended, max_memory_bytes)
        try:
            async with asyncio.timeout(start_seconds):
                await running._attach_or_end(start_seconds)
        except BaseException as error:
            await running.aclose()
            if isinstance(error, TimeoutError):
                raise BrowserStartTimedOut() from None
            if isinstance(error, Exception) and not isinstance(error, BrowserUnavailable):
                raise BrowserUnavailable(type(error).__name__) from None
            raise
        if not program.sandbox:
            log.warning("browser.sandbox_off", account=program.run_as)
        log.info("browser.started", version=running.browser.version, sandbox=program.sandbox)
        return running

    async def _attach_or_end(self, seconds: float) -> None:
        """Raises BrowserUnavailable where the program has ended instead."""
        attaching, ended = asyncio.ensure_future(self._attach(seconds)), asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait((attaching, ended), return_when=asyncio.FIRST_COMPLETED)
            if not attaching.done():
                raise BrowserUnavailable("it ended as it was started.")
            await attaching
        finally:
            for one in (attaching, ended):
                one.cancel()
            await asyncio.wait((attaching, ended), timeout=_STOP_SECONDS)

    async def _attach(self, seconds: float) -> None:
        from playwright.async_api import async_playwright

        self._bridge = await DebuggingBridge(self.process.to_browser, self.process.from_browser).__aenter__()
        self._playwright = await async_playwright().start()
        self.browser = await self._playwright.chromium.connect_over_cdp(self._bridge.url, timeout=seconds * 1000)
        session = await self.browser.new_browser_cdp_session()
        version = await session.send("Browser.getVersion")
        self.user_agent = version["userAgent"].replace("HeadlessChrome", "Chrome")
        self._watch = asyncio.create_task(self._watch_memory())

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Mark the browser as used, for the time of one look."""
        self.looks += 1
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    async def _watch_memory(self) -> None:
        while not self.ended.is_set():
            await asyncio.sleep(_MEMORY_WATCH_SECONDS)
            if self.users and await asyncio.to_thread(self.process.memory_bytes) > self._max_memory_bytes:
                self.over_memory = True
                log.warning("browser.over_memory")
                self.ended.set()  # before it is: no other look is begun in it
                await asyncio.to_thread(self.process.kill)

    async def aclose(self) -> None:
        """End the browser. Returns when every process of it is gone."""
        self.ended.set()
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.to_thread(self.process.stop)
        if self._bridge is not None:
            await _quietly(self._bridge.__aexit__(None, None, None))
        else:
            self.process.close_pipe()
        if self._playwright is not None:
            await _quietly(self._playwright.stop())
        log.info("browser.stopped", looks=self.looks)


async def _quietly(ending: Coroutine[Any, Any, None]) -> None:
    """End something that may have ended already, in whatever way."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await ending
    except Exception as error:  # noqa: BLE001 - recorded; the process itself is gone
        log.info("browser.stop_failed", error=type(error).__name__)
