"""The one error base. A class's docstring is the message a person reads; `detail` says what of.

Failure is data (see kopf's `_core/actions/execution.py` for the manner): `Permanent` says that trying again changes nothing,
`Transient` that it may, and after how long.
"""

from __future__ import annotations

from typing import ClassVar


class TakedownError(Exception):
    """Something went wrong."""

    of_the_settings: ClassVar[bool] = False
    """Whether somebody has to change how this was set up before another start can be any better."""

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        super().__init__(detail)

    @property
    def title(self) -> str:
        """The first line of the class's docstring."""
        return (type(self).__doc__ or "Something went wrong.").strip().splitlines()[0]

    def __str__(self) -> str:
        return f"{self.title} {self.detail}".strip()


class Permanent(TakedownError):
    """Trying again changes nothing."""


class Transient(TakedownError):
    """This may work when tried again."""

    def __init__(self, detail: str = "", *, after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.after_seconds = after_seconds


class Poison(Permanent):
    """A record that cannot be handled, now or later; it is referenced in the dead letters."""


class BadSettings(Permanent):
    """The settings cannot be used."""

    of_the_settings = True


class NotInstalled(Permanent):
    """This needs a part of Takedown that is not installed."""

    of_the_settings = True


class NotPrepared(Permanent):
    """The database or the event log is not set up for this version. Run `takedown migrate`, then `takedown topics ensure`."""

    of_the_settings = True
