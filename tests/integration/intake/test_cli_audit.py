"""What an operator does on the command line leaves an audit row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg

from services.standalone.assembly import prepare_postgres_log
from shared.contracts.dead_letters import DeadLetter
from shared.contracts.event import data_of, headers_of
from shared.contracts.topics import DEAD_LETTERS, DECISIONS, TOPICS
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.port import OutgoingRecord
from tests.program import call, succeed


def audited(conninfo: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT person_id, action, object_id FROM access.audit ORDER BY audit_id").fetchall()


def test_making_and_revoking_a_key_are_audited(fresh_database: str, tmp_path: Path) -> None:
    settings = {"TAKEDOWN_DATABASE": fresh_database, "TAKEDOWN_DATA_DIR": str(tmp_path)}
    arguments = ("--role", "crawler", "--person", "p-1", "--organisation", "o-1", "--json")
    key_id = json.loads(succeed("keys", "create", *arguments, **settings))["key_id"]
    succeed("keys", "revoke", key_id, **settings)
    assert call("keys", "revoke", str(uuid4()), **settings).code == 1
    assert audited(fresh_database) == [("command-line", "key.created", key_id), ("command-line", "key.revoked", key_id)]


def letter() -> DeadLetter:
    return DeadLetter(
        dead_letter_id=uuid4(),
        group="some-group",
        topic=DECISIONS.name,
        partition=0,
        offset=0,
        log="some/log",
        digest="00",
        error="SomeError",
        reason="bad",
        at=datetime.now(UTC),
    )


async def test_asking_for_a_replay_is_audited(fresh_database: str, tmp_path: Path) -> None:
    lost = letter()
    async with Database(fresh_database) as database:
        log = await prepare_postgres_log(database, Wakeups(database))
        await log.ensure_topics(TOPICS)
        headers = headers_of(DeadLetter, event_id=uuid4(), source="test", time=lost.at)
        async with log.publisher() as publisher:
            await publisher.publish(
                [OutgoingRecord(topic=DEAD_LETTERS.name, key=b"k", value=data_of(lost), headers=headers)]
            )
        await log.close()
    settings = {"TAKEDOWN_DATABASE": fresh_database, "TAKEDOWN_DATA_DIR": str(tmp_path)}
    options = ("--person", "op-7", "--wait-seconds", "0")
    assert call("dead-letters", "replay", str(lost.dead_letter_id), *options, **settings).code == 1  # no service runs
    assert audited(fresh_database) == [("op-7", "dead_letter.replayed", str(lost.dead_letter_id))]
    assert call("dead-letters", "replay", str(uuid4()), *options, **settings).code == 1
    assert len(audited(fresh_database)) == 1
