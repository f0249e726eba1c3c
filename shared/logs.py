"""Log lines: structlog events with keys, JSON or coloured by TTY. No URL, hash or secret at `info` or above."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


def configure(*, format_: Literal["auto", "json", "console"] = "auto", level: str = "info") -> None:
    """Set up structlog for this process, on stderr. `auto`: coloured on a terminal, JSON elsewhere."""
    number = logging.getLevelNamesMapping()[level.upper()]
    console = format_ == "console" or (format_ == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.dev.ConsoleRenderer() if console else structlog.processors.dict_tracebacks,
            *([] if console else [structlog.processors.JSONRenderer()]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, force=True)
    # These libraries put URLs into their messages.
    for name in ("httpx", "httpcore", "aiohttp", "uvicorn.access", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
