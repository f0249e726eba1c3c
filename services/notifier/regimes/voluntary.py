"""No law: we ask the recipient to apply its own terms, by a date we would be glad of. There is no deadline.

Written from this project's design brief (2026-11-23); it names no law, so there is none to have read.
"""

from __future__ import annotations

from datetime import date

from services.notifier.regimes.regime import Element, Regime

REGIME = Regime(
    id="voluntary",
    version="2",
    section="The recipient's own terms of service",
    valid_from=date(2026, 1, 1),
    source="The project's design brief; no law is named.",
    read_on=date(2026, 11, 23),
    enacted_text_read=None,
    binding=False,
    rungs=None,
    clock=None,
    required=frozenset({Element.LOCATION, Element.REQUESTER, Element.CONTACT, Element.STATEMENT}),
    statement=(
        "We state in good faith that, to the best of our knowledge, the content at this address is an intimate image shared "
        "without the consent of the person it shows. We ask you to act under your own terms of service."
    ),
    capacity="We are acting for a person depicted, with recorded authority.",
)
