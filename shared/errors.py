"""The one error base. A class's docstring is the message a person reads; `detail` says what of.

Failure is data (see kopf's `_core/actions/execution.py` for the manner): `Permanent` says that trying again changes nothing,
`Transient` that it may, and after how long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class TakedownError(Exception):
    """Something went wrong."""

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
    """The settings are not usable."""


class NotPrepared(Permanent):
    """Schemas or topics are missing; run `takedown migrate` and `takedown topics ensure` first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field of a document: where it is, pydantic's name of the error, and a text for people; never the value."""

    location: tuple[int | str, ...]
    kind: str
    text: str


class _Validation(Protocol):
    def errors(self) -> Sequence[Mapping[str, Any]]: ...


def field_errors(error: _Validation) -> tuple[FieldError, ...]:
    """Of a pydantic ValidationError, or FastAPI's of a request."""
    return tuple(
        FieldError(location=tuple(one["loc"]), kind=one["type"], text=str(one["msg"]).removeprefix("Value error, "))
        for one in error.errors()
    )
