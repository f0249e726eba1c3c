"""Embedded PostgreSQL: it starts, keeps what it is told, and leaves nothing running however it ends."""

from __future__ import annotations

import psycopg


def test_a_fresh_database_is_empty_and_utc(fresh_database: str) -> None:
    with psycopg.connect(fresh_database) as connection:
        row = connection.execute(
            "SELECT current_setting('TimeZone'), current_setting('server_encoding'), current_setting('fsync'),"
            " (SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public')"
        ).fetchone()
    assert row == ("UTC", "UTF8", "on", 0)
