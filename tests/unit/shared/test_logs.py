"""Log lines of the libraries, which speak through `logging`, are lines like our own."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared.process import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_librarys_line_is_json_where_ours_are() -> None:
    file = io.StringIO()
    logs.configure(format_="json", level="info", file=file)
    structlog.get_logger().info("demand.delivered", attempt=1)
    logging.getLogger("asyncio").warning("took %s", "0.2 s")
    logging.getLogger("asyncio").info("not shown")
    ours, theirs = (json.loads(line) for line in file.getvalue().splitlines())
    assert (ours["event"], ours["level"], ours["attempt"]) == ("demand.delivered", "info", 1)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("took 0.2 s", "warning", "asyncio")
    assert "timestamp" in theirs


def test_the_text_of_an_error_that_a_library_logs_is_told_to_nobody() -> None:
    file = io.StringIO()
    logs.configure(format_="json", level="info", file=file)
    address = "https://secret.example/1.jpg"
    try:
        raise ValueError(address)
    except ValueError as error:
        logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: %r", error, exc_info=error)
    (line,) = (json.loads(line) for line in file.getvalue().splitlines())
    assert (line["event"], line["error"]) == ("Task exception was never retrieved", "ValueError")
    assert "secret" not in file.getvalue()


def test_at_debug_an_error_has_its_trace_but_no_values_of_variables() -> None:
    file = io.StringIO()
    logs.configure(format_="json", level="debug", file=file)
    hidden = "".join(("se", "cret"))
    try:
        raise ValueError(len(hidden))
    except ValueError as error:
        structlog.get_logger().debug("worker.died_of", exc_info=error)
        logging.getLogger("asyncio").error("it failed", exc_info=error)
    ours, theirs = (json.loads(line) for line in file.getvalue().splitlines())
    assert ours["exception"][0]["exc_type"] == theirs["exception"][0]["exc_type"] == "ValueError"
    assert "secret" not in file.getvalue()


def test_libraries_that_put_urls_into_their_lines_say_errors_alone() -> None:
    file = io.StringIO()
    logs.configure(format_="json", level="info", file=file)
    logging.getLogger("httpx").warning("GET https://secret.example/1.jpg")
    assert file.getvalue() == ""
