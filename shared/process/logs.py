"""Log lines: structlog events with keys, JSON or coloured by TTY. No URL, hash or secret at `info` or above."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor

OUTAGE_EVERY_SECONDS = 60.0
_OUTAGES = ("LogUnavailable", "LogRefusesUs", "DatabaseUnavailable")
"""Errors that mean that something is away, which everybody who needs it meets again and again."""
_CLIENTS = frozenset(("aiokafka", "psycopg"))
"""Libraries that log for each connection and each try what our own line says once."""


class OnceAMinute:
    """Limits lines about one outage to one a minute, which says how many were left out since the last. `clock`: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def left_out_since(self, about: str) -> int | None:
        """How many lines about this were left out since the last; None: this one is left out too."""
        now = self._clock()
        logged_at = self._logged_at.get(about)
        if logged_at is not None and now - logged_at < OUTAGE_EVERY_SECONDS:
            self._left_out[about] += 1
            return None
        self._logged_at[about] = now
        return self._left_out.pop(about, 0)

    def __call__(self, _: object, __: str, line: EventDict) -> EventDict:
        """For structlog. Raises DropEvent."""
        errors = line.get("errors") or [line.get("error")]
        if all(one in _OUTAGES for one in errors):
            about = errors[0]
            left_out = self.left_out_since(about)
            if left_out is None:
                raise structlog.DropEvent
            if left_out:
                line["left_out"] = left_out
        return line

    def filter(self, record: logging.LogRecord) -> bool:
        """For `logging`."""
        about = record.name.partition(".")[0]
        return about not in _CLIENTS or self.left_out_since(about) is not None


def _without_texts_of_errors(_: object, __: str, line: EventDict) -> EventDict:
    """Remove the texts of errors: they may quote a URL or a hash, and asyncio puts them into the lines below its first."""
    line["event"] = str(line["event"]).partition("\n")[0]
    exception = line.pop("exc_info", None)
    if isinstance(exception, tuple):
        exception = exception[1]
    if isinstance(exception, BaseException):
        line["error"] = type(exception).__name__
    return line


def configure(
    *, format_: Literal["auto", "json", "console"] = "auto", level: str = "info", file: TextIO | None = None
) -> None:
    """Set up structlog for this process, on stderr or `file`. `auto`: coloured on a terminal, JSON elsewhere.

    The libraries' own lines, warnings and above, look like ours.
    """
    file = sys.stderr if file is None else file
    number = logging.getLevelNamesMapping()[level.upper()]
    once_a_minute = OnceAMinute()
    console = format_ == "console" or (format_ == "auto" and file.isatty())
    of_every_line: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    )
    structlog.configure(
        processors=[once_a_minute, *of_every_line, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=file),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(file)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                *([] if number <= logging.DEBUG else [_without_texts_of_errors]),
                *of_every_line,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    handler.addFilter(once_a_minute.filter)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # These libraries put URLs into their messages.
    for name in ("httpx", "httpcore", "aiohttp", "uvicorn.access", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
