"""United Kingdom: Online Safety Act 2023, section 20A.

THE ENACTED TEXT HAS NOT BEEN READ BY US. Section, clock and elements are written from this project's design brief alone
(2026-11-23). So the regime is used only where the settings name who reviewed it (`TAKEDOWN_REVIEWED_BY`), and only to a
recipient that the directory marks as bound by it. Who reviews it compares every line below with the enacted text and its
commencement regulations, puts in the true commencement date, and raises `version`.

`valid_from` is a floor, not a commencement date: it only keeps the regime from earlier dates.
"""

from __future__ import annotations

from datetime import date, timedelta

from services.notifier.regimes.regime import Element, Regime

REGIME = Regime(
    id="uk_osa_20a",
    version="1",
    section="Online Safety Act 2023, section 20A",
    valid_from=date(2026, 1, 1),
    source="The project's design brief; the enacted text has not been read by us.",
    read_on=date(2026, 11, 23),
    enacted_text_read=False,
    binding=True,
    clock=timedelta(hours=48),
    required=frozenset(Element),
    statement=(
        "This demand is made under section 20A of the Online Safety Act 2023. "
        "We state in good faith that, to the best of our knowledge, the content at this address is an intimate image shared "
        "without the consent of the person it shows, that we are authorised to report it, and that this report is accurate."
    ),
)
