"""Servers for tests, started once a session and only when a test asks for them.

- ``postgres_conninfo``: ``TAKEDOWN_TEST_POSTGRES`` (a psycopg conninfo), else an embedded PostgreSQL in a temporary folder.
- ``fresh_database``: a new, empty database in it for one test.
- ``kafka_bootstrap``: ``KAFKA_BOOTSTRAP_SERVERS``, else a Docker engine (image ``apache/kafka``), else the launcher in
  ``deploy/kafka-local``. Skips when none of them works, but with ``CI=true`` fails instead.
- ``server_dir``: a folder for one test in which a server can run under another account (pytest's ``tmp_path`` is closed to it).
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.db.embedded import EmbeddedPostgres


@contextmanager
def open_temporary_dir() -> Iterator[Path]:
    """A temporary folder other accounts may pass through; what is in it has modes of its own."""
    path = Path(tempfile.mkdtemp(prefix="takedown-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def server_dir() -> Iterator[Path]:
    with open_temporary_dir() as path:
        yield path


@pytest.fixture(scope="session")
def postgres_conninfo() -> Iterator[str]:
    given = os.environ.get("TAKEDOWN_TEST_POSTGRES")
    if given:
        yield given
        return
    with open_temporary_dir() as path, EmbeddedPostgres(path / "postgres") as server:
        yield server.conninfo


@pytest.fixture
def fresh_database(postgres_conninfo: str) -> Iterator[str]:
    """The conninfo of a database nobody else uses; dropped afterwards, open connections and all."""
    name = f"test_{secrets.token_hex(8)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    yield make_conninfo(postgres_conninfo, dbname=name)
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
