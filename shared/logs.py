"""Log lines: structlog events with keys, JSON or coloured by TTY. No URL, hash or secret at `info` or above."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.types import Processor


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
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
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
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *of_every_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # These libraries put URLs into their messages.
    for name in ("httpx", "httpcore", "aiohttp", "uvicorn.access", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
