"""Wake-ups: NOTIFY makes a waiting worker look at once; a poll is the fallback, so a lost NOTIFY costs a second, never a row."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import psycopg
import structlog
from psycopg import sql

from shared.db.pool import Database, DatabaseUnavailable, Tx

log = structlog.get_logger()


async def notify(tx: Tx, name: str) -> None:
    """Wake the listeners of this wake-up when this transaction commits."""
    await tx.execute("SELECT pg_notify(%s, '')", (name,))


class Wakeups:
    """One LISTEN connection for a process. `run` it as a task; `wait` for a wake-up from anywhere in the process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listened: set[str] = set()
        self._changed = asyncio.Event()

    def subscribe(self, *names: str) -> Subscription:
        """Listen to these names from now on. LISTEN is in force soon after, and a poll covers the gap."""
        event = asyncio.Event()
        for name in names:
            self._waiting[name].add(event)
            if name not in self._listened:
                self._changed.set()
        return Subscription(event, lambda: self._forget(event, names))

    def _forget(self, event: asyncio.Event, names: tuple[str, ...]) -> None:
        for name in names:
            self._waiting[name].discard(event)

    def wake(self, name: str) -> None:
        """Wake this process's own listeners now."""
        for event in self._waiting[name]:
            event.set()

    async def run(self) -> None:
        """Listen for ever; a lost connection is made anew, and everybody is woken once, since a NOTIFY may have been lost."""
        while True:
            try:
                connection = await self._database.dedicated()
            except DatabaseUnavailable:
                await asyncio.sleep(0.5)
                continue
            try:
                async with connection:
                    self._listened.clear()
                    await self._listen(connection)
            except psycopg.OperationalError as error:
                log.warning("wakeups.lost", error=type(error).__name__)
                await asyncio.sleep(0.2)

    async def _listen(self, connection: Tx) -> None:
        while True:
            self._changed.clear()
            for name in [one for one in self._waiting if one not in self._listened]:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
                self._listened.add(name)
                self.wake(name)
            receive = asyncio.create_task(self._receive(connection))
            change = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait({receive, change}, return_when=asyncio.FIRST_COMPLETED)
                if receive.done():
                    receive.result()
            finally:
                for task in (receive, change):
                    task.cancel()
                await asyncio.gather(receive, change, return_exceptions=True)

    async def _receive(self, connection: Tx) -> None:
        async for notification in connection.notifies():
            self.wake(notification.channel)


class Subscription:
    """Waits for wake-ups. Close it (or use `with`) when done."""

    def __init__(self, event: asyncio.Event, forget: object) -> None:
        self._event = event
        self._forget = forget

    async def wait(self, timeout_seconds: float) -> bool:
        """True when woken, False when the time-out (the poll) came first."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        finally:
            self._event.clear()
        return True

    def take(self) -> bool:
        """Whether it was woken since the last wait or take."""
        woken = self._event.is_set()
        self._event.clear()
        return woken

    def wake(self) -> None:
        """End the wait of this subscription alone."""
        self._event.set()

    def close(self) -> None:
        if callable(self._forget):
            self._forget()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
