"""Where the broker or the database is away, the log says so once a minute, however many meet it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared.process import logs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [1000.0]
    monkeypatch.setattr(logs.OnceAMinute, "__init__", _with(logs.OnceAMinute.__init__, now))
    yield now
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


def _with(init: object, now: list[float]) -> object:
    def build(self: logs.OnceAMinute) -> None:
        init(self, lambda: now[0])  # type: ignore[operator]  # the class's own

    return build


def lines(file: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("error", ["LogUnavailable", "DatabaseUnavailable"])
def test_an_outage_is_one_line_a_minute(clock: list[float], error: str) -> None:
    file = io.StringIO()
    logs.configure(format_="json", file=file)
    log = structlog.get_logger("test")
    for _ in range(3 * 60):  # three minutes, many a second
        for who in range(50):
            log.warning("runner.interrupted", group=who, error=error)
            log.info("record.tried_again", error=error, attempt=who)
            log.error("job.interrupted", error=error)
        clock[0] += 1
    told = lines(file)
    assert len(told) == 3
    assert [line.get("left_out") for line in told] == [None, 8999, 8999]


def test_what_is_no_outage_is_told_each_time(clock: list[float]) -> None:
    file = io.StringIO()
    logs.configure(format_="json", file=file)
    log = structlog.get_logger("test")
    for _ in range(5):
        log.error("job.failed", error="ValueError")
        log.warning("outbound.no_contact")
        logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert len(lines(file)) == 15


@pytest.mark.parametrize("name", ["aiokafka", "aiokafka.conn", "aiokafka.consumer.group_coordinator", "psycopg.pool"])
def test_a_clients_own_lines_are_one_a_minute(clock: list[float], name: str) -> None:
    file = io.StringIO()
    logs.configure(format_="json", file=file)
    for second in range(120):
        for number in range(100):
            logging.getLogger(name).error("Unable connect to node with id %s: %s", number, second)
        clock[0] += 1
    assert len(lines(file)) == 2
