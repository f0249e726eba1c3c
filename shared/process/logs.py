"""Log lines: structlog events with keys, JSON or coloured by TTY. No URL, hash or secret at `info` or above."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor


def _without_texts_of_errors(_: object, __: str, line: EventDict) -> EventDict:
    """An error's text may quote a URL or a hash, and asyncio puts it into the lines below its first."""
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
        processors=[*of_every_line, *rendering],
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
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # These libraries put URLs into their messages.
    for name in ("httpx", "httpcore", "aiohttp", "uvicorn.access", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
