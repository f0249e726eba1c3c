"""The laws a demand can rest on. Only true law: a regime that cannot be shown to apply is not named."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from services.notifier.regimes import uk_osa_20a, voluntary
from services.notifier.regimes.regime import Element, Regime

REGIMES: dict[str, Regime] = {one.id: one for one in (uk_osa_20a.REGIME, voluntary.REGIME)}
VOLUNTARY = voluntary.REGIME

__all__ = ["REGIMES", "VOLUNTARY", "Element", "Regime", "choose"]


def choose(
    *, bound_by: Collection[str], rung: str, reviewed_by: str | None, today: date, elements: Collection[Element]
) -> Regime | None:
    """The regime of a demand to a recipient on this rung that the directory marks `bound_by` these, made of these elements.

    A binding regime needs all of: the directory's mark, a rung it can bind, a reviewer named in the settings, its first day, its
    required elements. Otherwise `voluntary`. None: not even that one's elements are there, and nothing may be sent.
    """
    present = frozenset(elements)
    for regime in REGIMES.values():
        marked = regime.binding and regime.id in bound_by and regime.binds_on(rung)
        applies = marked and bool(reviewed_by) and regime.valid_from <= today
        if applies and regime.required <= present:
            return regime
    return VOLUNTARY if VOLUNTARY.required <= present else None
