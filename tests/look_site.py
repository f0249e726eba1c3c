"""A host that takes the shapes of `tests/data/still_there.py` one after the other, and a checker that looks at it over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from services.notifier.checks.checker import Checker
from services.notifier.checks.seen import Looked, Wanted
from services.notifier.domain.check_results import combined
from services.notifier.domain.model import Outcome
from shared.clock import system_clock
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.media.browser.browser import Browser
from shared.media.browser.look import BrowserLimits
from shared.media.browser.process import BrowserProgram
from shared.media.fingerprinter import Fingerprinter
from shared.media.fingerprints import fingerprint_ref
from shared.outbound.fetch import Fetcher
from shared.policy import Policy
from shared.urls import canonical
from tests.data.still_there import BASE, Shape
from tests.raw_host import RawHost, raw_host

POLICY = Policy(fetch_timeout_seconds=5.0)
KEY = b"k" * 32


class LookSite:
    """`look` at a shape; `host.requests` are the last look's."""

    def __init__(
        self,
        host: RawHost,
        checker: Checker,
        register: Sequence[RegisteredFingerprint],
        fingerprinter: Fingerprinter,
        browser: Browser | None,
    ) -> None:
        self.host = host
        self.fingerprinter = fingerprinter
        self._browser = browser
        self._checker = checker
        self._register = register

    async def refs_of(self, body: bytes) -> frozenset[str]:
        """What a rejection of this picture names."""
        media = await self.fingerprinter.fingerprint(body)
        return frozenset(fingerprint_ref(KEY, one) for one in media.fingerprints() if one.orientation == "identity")

    @property
    def browser(self) -> Browser:
        assert self._browser is not None, "the site was opened without one"
        return self._browser

    def show(self, shape: Shape) -> None:
        """The host answers so from now on."""
        host = self.host
        host.requests.clear()
        host.otherwise = shape.otherwise
        host.answers = {**shape.others, shape.path.partition("?")[0]: shape.media}
        if shape.page is not None:
            host.answers["/page"] = shape.page

    async def look(self, shape: Shape, *, may_draw: bool = True, rejected: frozenset[str] = frozenset()) -> Looked:
        self.show(shape)
        host = self.host
        url = host.url(shape.path)
        wanted = Wanted(
            takedown_id=uuid4(),
            target_kind="media",
            url=url,
            url_key=canonical(url).url_key,
            page_url=None if shape.page is None else host.url("/page"),
            register=tuple(one for one in self._register if not shape.exact_only or one.algorithm != "pdq"),
            rejected=rejected,
            may_draw=may_draw,
        )
        return await self._checker.look(wanted)


@asynccontextmanager
async def open_look_site(
    address: str, *, browser: BrowserProgram | None = None, policy: Policy = POLICY
) -> AsyncIterator[LookSite]:
    """`browser`: what is asked, too; None: no browser is."""
    async with (
        raw_host(address) as (host, guard),
        Fetcher(guard, user_agent="test") as fetcher,
        Fingerprinter(workers=1) as fingerprinter,
        AsyncExitStack() as stack,
    ):
        register = [
            RegisteredFingerprint(
                algorithm=one.algorithm.value, value=one.hex, quality=one.quality, assurance=Assurance.VIEWED
            )
            for one in (await fingerprinter.fingerprint(BASE)).fingerprints()
            if one.orientation == "identity"
        ]
        drawing = None
        if browser is not None:
            drawing = await stack.enter_async_context(
                Browser(
                    browser, guard, limits=BrowserLimits(load_seconds=10.0, looks_an_hour=policy.browser_looks_per_hour)
                )
            )
        checker = Checker(fetcher, fingerprinter, policy, system_clock, fingerprint_key=KEY, browser=drawing)
        yield LookSite(host, checker, register, fingerprinter, drawing)


def outcome_of(looked: Looked) -> Outcome:
    """Of medium and page together."""
    return combined(looked.media.outcome, None if looked.page is None else looked.page.outcome)


def told(looked: Looked) -> str:
    """All that a check says, for a test that fails."""
    seen = [looked.media, *([looked.page] if looked.page is not None else [])]
    parts = ", ".join(f"{one.outcome.value} {one.reason}" for one in seen)
    return f"{outcome_of(looked).value}: {parts}, drawn {looked.drawn}"
