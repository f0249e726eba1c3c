"""United Kingdom: Online Safety Act 2023, section 20A, with the duty of section 10(3A) that it belongs to.

What was read (2026-11-30): sections 20A and 10(3A) and (3B) as legislation.gov.uk publishes them, with their annotations on
commencement, in a stored copy of https://www.legislation.gov.uk/ukpga/2023/50/section/20A and …/section/10; not the live pages.
In force since 29 June 2026 (Crime and Policing Act 2026, sections 100(2), (3) and 255(1); SI 2026/689, regulation 2(1)(j)).

What was not read: regulations under section 20A(2)(f) and (3) (none were found; look again before each release), section 20(5)
(who may report), section 21(2A) (complaints), and section 66B of the Sexual Offences Act 2003, which says what intimate image
content is. So the regime is used only where the settings name who reviewed it (`TAKEDOWN_REVIEWED_BY`). Who changes a word below
compares it with the enacted text and raises `version`.

It binds providers of regulated user-to-user services, of any size: no bare host, network, registrar or search engine.
"""

from __future__ import annotations

from datetime import date, timedelta

from services.notifier.regimes.regime import Element, Regime

REGIME = Regime(
    id="uk_osa_20a",
    version="2",
    section="Online Safety Act 2023, section 20A",
    valid_from=date(2026, 6, 29),
    source=(
        "Sections 20A and 10(3A)-(3B) as published on legislation.gov.uk, read in a stored copy; regulations under section "
        "20A(2)(f) were looked for and none found."
    ),
    read_on=date(2026, 11, 30),
    enacted_text_read=True,
    binding=True,
    rungs=frozenset({"site_operator"}),
    clock=timedelta(hours=48),
    required=frozenset(Element),
    statement=(
        "This report is made under section 20A of the Online Safety Act 2023. "
        "We declare that content present on the service at this address is intimate image content. "
        "The report is made in good faith and, to the best of our knowledge and belief, is true. "
        "Section 10(3A) asks you to take down this content, and any other content that you identify as the same, or "
        "substantially the same, as soon as reasonably practicable, and no later than 48 hours after you receive this report."
    ),
    capacity=(
        "We make it acting for a person depicted, with recorded authority "
        "(section 20A(2)(b)(ii): a person acting on that person's behalf)."
    ),
)
