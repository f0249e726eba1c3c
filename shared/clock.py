"""Time at the edge: pure code takes `now`, services take a `Clock`. Due times in tables are the database's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present as an aware UTC datetime."""


def system_clock() -> datetime:
    """The machine's clock, aware, UTC."""
    return datetime.now(UTC)
