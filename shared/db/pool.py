"""Connections and transactions on PostgreSQL. SQL is written by hand, named and commented, beside the store that owns it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors import Transient

Row = dict[str, Any]
Tx = AsyncConnection[Row]
"""A connection inside a transaction; it commits when the `transaction` block ends, and rolls back on an exception."""


class DatabaseUnavailable(Transient):
    """The database cannot be reached."""


class Database:
    """A pool of connections to one database, in UTC."""

    def __init__(self, conninfo: str, *, max_connections: int = 16) -> None:
        self.conninfo = conninfo
        self._pool: AsyncConnectionPool[Tx] = AsyncConnectionPool(
            conninfo,
            connection_class=AsyncConnection[Row],
            kwargs={"row_factory": dict_row, "options": "-c timezone=UTC", "autocommit": True},
            min_size=1,
            max_size=max_connections,
            open=False,
            check=AsyncConnectionPool.check_connection,
            timeout=30,
        )

    async def open(self) -> None:
        """Raises DatabaseUnavailable when no connection is had within 30 s."""
        await self._pool.open()
        try:
            await self._pool.wait(timeout=30)
        except PoolTimeout as error:
            await self._pool.close()
            raise DatabaseUnavailable(str(error)) from None

    async def close(self) -> None:
        await self._pool.close()

    async def __aenter__(self) -> Database:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """One transaction. Raises DatabaseUnavailable when the server is gone (the outcome of a commit is then unknown)."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable(type(error).__name__) from error

    async def dedicated(self) -> Tx:
        """A connection outside the pool (LISTEN, advisory locks held for long). The caller closes it."""
        try:
            return await AsyncConnection[Row].connect(
                self.conninfo, row_factory=dict_row, autocommit=True, options="-c timezone=UTC"
            )
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(type(error).__name__) from error

    async def now(self) -> datetime:
        """The database's clock."""
        async with self.transaction() as tx:
            row = await (await tx.execute("SELECT clock_timestamp() AS now")).fetchone()
        assert row is not None
        moment: datetime = row["now"]
        return moment
