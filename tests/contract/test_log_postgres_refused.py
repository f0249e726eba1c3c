"""A value that PostgreSQL does not store is refused, with those beside it kept: it is no outage, which would be waited for for ever."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import errors

from shared.errors import TakedownError
from shared.log.port import LogUnavailable, OutgoingRecord, RecordRefused
from shared.log.postgres.session import MemberSession, _named
from tests.contract.log_harness import PostgresHarness, a_topic, read_all, record

_REFUSES = """
CREATE FUNCTION eventlog.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'index row size exceeds the maximum' USING ERRCODE = 'program_limit_exceeded';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON eventlog.record FOR EACH ROW WHEN (NEW.key = 'too long') EXECUTE FUNCTION eventlog.refuse();
"""


async def test_a_value_that_is_refused_is_no_outage_and_those_beside_it_are_appended(
    on_postgres: PostgresHarness,
) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    async with on_postgres.database.transaction() as tx:
        await tx.execute(_REFUSES.encode())
    async with on_postgres.log.publisher() as publisher:
        refused = OutgoingRecord(topic=topic.name, key=b"too long", value=b"", headers=())
        results = await asyncio.gather(
            publisher.publish([record(topic, b"1")]),
            publisher.publish([refused]),
            publisher.publish([record(topic, b"2")]),
            return_exceptions=True,
        )
    assert [type(one) for one in results] == [tuple, RecordRefused, tuple]
    assert sorted(one.value or b"" for one in await read_all(on_postgres.log, topic)) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (errors.ProgramLimitExceeded, RecordRefused),
        (errors.StatementTooComplex, RecordRefused),
        (errors.UntranslatableCharacter, RecordRefused),
        (errors.CharacterNotInRepertoire, RecordRefused),
        (errors.NumericValueOutOfRange, RecordRefused),
        (errors.InvalidTextRepresentation, RecordRefused),
        (errors.AdminShutdown, LogUnavailable),
        (errors.DiskFull, LogUnavailable),
        (errors.OutOfMemory, LogUnavailable),
        (errors.TooManyConnections, LogUnavailable),
        (errors.DeadlockDetected, LogUnavailable),
        (psycopg.OperationalError, LogUnavailable),
        (psycopg.InterfaceError, LogUnavailable),
    ],
)
def test_what_an_error_says_of_the_log(error: type[psycopg.Error], named: type[TakedownError]) -> None:
    assert type(_named(error())) is named


async def test_a_statement_that_is_refused_leaves_the_connection_in_use(on_postgres: PostgresHarness) -> None:
    session = MemberSession(on_postgres.database)
    try:
        with pytest.raises(RecordRefused):
            await session.fetch("SELECT %t::text::int AS number", ("no number",))
        assert await session.fetch("SELECT 1 AS number") == [{"number": 1}]
    finally:
        await session.close()
