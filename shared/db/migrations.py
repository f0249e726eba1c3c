"""Migrations: numbered SQL files per schema, applied once, in order, under an advisory lock; an applied file never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from shared.db.pool import Database, Tx
from shared.errors import Permanent

ADVISORY_LOCK = 0x74616B65  # "take"


class MigrationChanged(Permanent):
    """An applied migration differs from its file; the database belongs to another version."""


class NoMigrations(Permanent):
    """The folder of a schema has no migrations: the installation is not complete. Install Takedown again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A schema and the folder of its `NNNN_name.sql` files. `{schema}` in a file is the schema's name."""

    name: str
    folder: Path

    def files(self) -> list[tuple[str, str]]:
        """(file name, SQL text) in order. Raises NoMigrations: a schema without files is a folder that was moved."""
        paths = sorted(self.folder.glob("*.sql"))
        if not paths:
            raise NoMigrations(f"{self.name}: {self.folder}")
        return [(path.name, path.read_text().replace("{schema}", self.name)) for path in paths]


async def migrate(database: Database, schemas: Iterable[Schema]) -> list[str]:
    """Apply what is missing; returns `schema/file` of each applied. All in one transaction: all or nothing."""
    applied: list[str] = []
    async with database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
        for schema in schemas:
            await tx.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema.name)))
            await tx.execute(
                sql.SQL(
                    "CREATE TABLE IF NOT EXISTS {}.migrations ("
                    " name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
                ).format(sql.Identifier(schema.name))
            )
            for name, text in await _pending(tx, schema):
                await tx.execute(text.encode())  # no parameters: several statements at once
                await tx.execute(
                    sql.SQL("INSERT INTO {}.migrations (name, digest) VALUES (%s, %s)").format(
                        sql.Identifier(schema.name)
                    ),
                    (name, _digest(text)),
                )
                applied.append(f"{schema.name}/{name}")
    return applied


async def pending(database: Database, schemas: Iterable[Schema]) -> list[str]:
    """`schema/file` of what is not applied yet."""
    missing: list[str] = []
    async with database.transaction() as tx:
        for schema in schemas:
            row = await (await tx.execute("SELECT to_regclass(%s) AS found", (f"{schema.name}.migrations",))).fetchone()
            files = schema.files() if row is None or row["found"] is None else await _pending(tx, schema)
            missing.extend(f"{schema.name}/{name}" for name, _ in files)
    return missing


async def _pending(tx: Tx, schema: Schema) -> list[tuple[str, str]]:
    cursor = await tx.execute(sql.SQL("SELECT name, digest FROM {}.migrations").format(sql.Identifier(schema.name)))
    known = {row["name"]: row["digest"] for row in await cursor.fetchall()}
    todo = []
    for name, text in schema.files():
        if name not in known:
            todo.append((name, text))
        elif known[name] != _digest(text):
            raise MigrationChanged(f"{schema.name}/{name}")
    return todo


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
