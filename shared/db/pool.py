"""Connections and transactions on PostgreSQL. SQL is written by hand, named and commented, beside the store that owns it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors import Transient

First = TypeVar("First")
Row = dict[str, Any]
Tx = AsyncConnection[Row]
"""A connection inside a transaction; it commits when the `transaction` block ends, and rolls back on an exception."""


REACHED_WITHIN_SECONDS = 2
"""The time-out of a connection; libpq knows no shorter one."""


def heed_cancellation() -> None:
    """Raise the CancelledError that a statement may have swallowed: before Python 3.12 `asyncio.wait_for`, on which psycopg waits,
    returns when what it waits for ends in the same moment (python/cpython#86296), and a worker would go on for ever."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class DatabaseUnavailable(Transient):
    """The database cannot be reached, or cannot do this now."""


_PASSING_CLASSES = ("08", "57P")
"""SQLSTATE classes after which trying again may help: connection exceptions; shut down, crashed, starting, dropped, idle for too long (all
of them end the connection)."""
_PASSING = frozenset(
    (
        errors.SerializationFailure.sqlstate,
        errors.DeadlockDetected.sqlstate,
        errors.LockNotAvailable.sqlstate,  # another one has it: asked for by NOWAIT and `lock_timeout` alone
        errors.TooManyConnections.sqlstate,
        errors.DiskFull.sqlstate,  # of every statement's, and no record or job is to blame
    )
)


def is_passing(error: psycopg.OperationalError) -> bool:
    """Whether the same statement may well succeed later: the connection was lost (libpq gives no SQLSTATE then), or others were in the way.
    Not so a statement that was cancelled, ran out of memory or is over a limit of the program: that is its own failure, and would fail for
    ever."""
    state = error.sqlstate
    return state is None or state in _PASSING or state.startswith(_PASSING_CLASSES)


@contextmanager
def _unavailable_named() -> Iterator[None]:
    """Raise DatabaseUnavailable in place of an error that may pass. A cancellation that the driver has swallowed is raised first: the
    server's answer to it may have come in its place."""
    try:
        yield
        heed_cancellation()
    except psycopg.OperationalError as error:
        heed_cancellation()
        if not is_passing(error):
            raise
        raise DatabaseUnavailable(type(error).__name__) from error


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
            timeout=30,
        )

    async def open(self) -> None:
        """Open the pool. Raises DatabaseUnavailable when no connection is had within 30 s."""
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
        with _unavailable_named():
            async with AsyncExitStack() as stack:
                connection, _ = await self._living(
                    stack, lambda trial, one: trial.enter_async_context(one.transaction())
                )
                yield connection

    async def read_one(self, query: LiteralString, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of one statement that changes nothing, without a transaction around it. Raises DatabaseUnavailable."""
        with _unavailable_named():
            async with AsyncExitStack() as stack:
                _, cursor = await self._living(stack, lambda _, one: one.execute(query, parameters))
                return await cursor.fetchone()

    async def _living(
        self, stack: AsyncExitStack, first: Callable[[AsyncExitStack, Tx], Awaitable[First]]
    ) -> tuple[Tx, First]:
        """A connection on which `first` (which changes nothing by itself) was done, with its result. A connection that died while idle is
        noticed by that, and another is taken. (To ask each before its use would be one more round trip.)"""
        for left in reversed(range(self._pool.max_size + 1)):
            async with AsyncExitStack() as trial:
                connection = await trial.enter_async_context(self._pool.connection())
                heed_cancellation()  # the pool waits that way, and a first statement may wait for a lock for ever
                try:
                    done = await first(trial, connection)
                except psycopg.OperationalError:
                    if left and connection.broken:
                        continue
                    raise
                await stack.enter_async_context(trial.pop_all())
                return connection, done
        raise AssertionError("the last trial returns or raises")

    async def dedicated(self) -> Tx:
        """A connection outside the pool (LISTEN, advisory locks held for long). The caller closes it."""
        try:
            return await AsyncConnection[Row].connect(
                self.conninfo, row_factory=dict_row, autocommit=True, options="-c timezone=UTC"
            )
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(type(error).__name__) from error

    async def reached(self) -> bool:
        """Whether the server takes a new connection within two seconds: a busy pool does not mean that the server is away. True where
        nobody has opened this pool: then nobody needs it."""
        if self._pool.closed:
            return True
        try:
            await (await AsyncConnection.connect(self.conninfo, connect_timeout=REACHED_WITHIN_SECONDS)).close()
        except psycopg.OperationalError:
            return False
        return True

    async def now(self) -> datetime:
        """The database's clock."""
        async with self.transaction() as tx:
            row = await (await tx.execute("SELECT clock_timestamp() AS now")).fetchone()
        assert row is not None
        moment: datetime = row["now"]
        return moment
