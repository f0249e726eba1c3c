"""A record on the log of a running `serve` that no column of any reader takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from shared.contracts.dead_letters import MODELS, DeadLetter
from shared.contracts.event import decode
from shared.contracts.topics import CONTENT, DEAD_LETTERS
from shared.db.embedded.server import conninfo_if_running
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.port import OutgoingRecord
from shared.log.postgres.log import PostgresLog
from tests.contract.log_harness import read_all
from tests.matcher_world import content, content_record

REVISION = 2**63


def publish_content_of_revision(data_dir: Path) -> None:
    """A content of revision 2^63: no bigint, and an event like any other to who reads JSON."""
    asyncio.run(_publish(data_dir))


def readers_that_refused(data_dir: Path) -> set[str]:
    """The groups that have a dead letter of `takedown.content`."""
    return asyncio.run(_refused(data_dir))


async def _publish(data_dir: Path) -> None:
    good = content_record(content(uuid4(), 1))
    assert good.value is not None
    huge = good.value.replace(b'"revision":1', b'"revision":%d' % REVISION)
    assert huge != good.value
    async with Database(_conninfo(data_dir)) as database, _log(database).publisher() as publisher:
        await publisher.publish([OutgoingRecord(topic=CONTENT.name, key=good.key, value=huge, headers=good.headers)])


async def _refused(data_dir: Path) -> set[str]:
    async with Database(_conninfo(data_dir)) as database:
        records = await read_all(_log(database), DEAD_LETTERS)
    letters = [decode(MODELS, value=one.value, headers=one.headers).event for one in records]
    return {one.group for one in letters if isinstance(one, DeadLetter) and one.topic == CONTENT.name}


def _log(database: Database) -> PostgresLog:
    return PostgresLog(database, Wakeups(database))


def _conninfo(data_dir: Path) -> str:
    conninfo = conninfo_if_running(data_dir / "postgres")
    assert conninfo is not None
    return conninfo
