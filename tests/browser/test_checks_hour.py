"""What a check makes of an hour's looks that are used up: nothing is believed for want of a look, and the want is told."""

from __future__ import annotations

from services.notifier.domain.model import Outcome
from tests.browser.look_world import needs_chromium
from tests.browser.test_checks_drawn import STILL_CLEAR
from tests.look_site import POLICY, open_look_site, outcome_of, told

GONE_BY_TWO_LOOKS = next(one for one in STILL_CLEAR if one.name.endswith("runs scripts and shows another picture"))
"""The medium is clear for the light look, its page for a browser alone."""


async def test_a_page_that_was_drawn_does_not_stand_for_a_medium_that_was_not() -> None:
    policy = POLICY.model_copy(update={"browser_looks_per_hour": 3})
    async with open_look_site("127.0.1.98", browser=needs_chromium(), policy=policy) as site:
        site.show(GONE_BY_TWO_LOOKS)
        for _ in range(2):  # more than half of the hour is used up
            await site.browser.look(site.host.url("/"))
        looked = await site.look(GONE_BY_TWO_LOOKS)
        assert outcome_of(looked) is Outcome.INCONCLUSIVE, told(looked)
        assert looked.drawn[-1] == "hour_spent"
        looked = await site.look(GONE_BY_TWO_LOOKS)
        assert (outcome_of(looked), looked.drawn) == (Outcome.INCONCLUSIVE, ("hour_spent", "hour_spent")), told(looked)
