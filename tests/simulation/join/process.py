"""One matcher process of the model: the product's own code over its own state folder. Its threads wait at gates like all else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from services.matcher.consumer.partitions import MatcherDependencies
from services.matcher.consumer.worker import Matcher
from services.matcher.register.register import MAX_AGE
from services.matcher.state.files import StateFiles
from shared.contracts.sightings import ERASURE_PUBLISHED_FOR
from shared.policy import Policy
from tests.simulation.join.disk import Disk
from tests.simulation.join.log import SimLog, Storage, drain

T = TypeVar("T")
KEY = b"k" * 32
HEAD_ENTRIES = 2
"""Few, so that what is remembered is soon in segments."""
POLICY = Policy(snapshot_every=timedelta(seconds=5), snapshot_sightings=3)
"""Files are written as often as they may be."""


class Process:
    """`slow_disk`: reading and writing files, and building segments, take their time beside all else; else they are done at once.

    `failure`: what building a segment ended with, if it ended badly.
    """

    def __init__(self, name: str, storage: Storage, disk: Disk, *, slow_disk: bool) -> None:
        self.name = name
        self._storage = storage
        self._disk = disk
        self._slow_disk = slow_disk
        self._threads: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        state = StateFiles(
            folder=disk.folder(name), kept=POLICY.history_kept, run=self._build, head_entries=HEAD_ENTRIES
        )
        self._lock = state.lock()
        self.matcher = Matcher(
            MatcherDependencies(
                log=SimLog(storage, name),  # type: ignore[arg-type]  # the parts of the port the matcher uses
                policy=POLICY,
                fingerprint_key=KEY,
                member_id=name,
                clock=lambda: storage.now,
                sleep=self._sleep,
                offload=self._offload,
                background=self._build,
                disk=self._on_disk,
                state=state,
                history_max_age=min(MAX_AGE, 0.75 * ERASURE_PUBLISHED_FOR) if storage.redacts else MAX_AGE,
                inline_pairs=-1,
                head_entries=HEAD_ENTRIES,
            )
        )
        self.task = asyncio.create_task(self.matcher.run())

    # What it waits for

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            await self._storage.gates.wait(self.name, "sleep", lambda: False)
            self._storage.now += timedelta(seconds=seconds)

    async def _offload(self, function: Callable[[], T], /) -> T:
        await self._storage.gates.wait(self.name, "thread")
        result = function()
        await self._storage.gates.wait(self.name, "thread done")
        return result

    async def _on_disk(self, function: Callable[[], T], /) -> T:
        """A thread goes on when who waits for it is cancelled, and ends with the process."""
        if not self._slow_disk:
            return function()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await self._storage.gates.wait(self.name, "disk")
                with self._disk.used_by(self.name):
                    result = function()
                await self._storage.gates.wait(self.name, "disk done")
            except asyncio.CancelledError:
                done.cancel()  # who waits whatever happens waits no more: the process is gone
                raise
            except Exception as error:  # noqa: BLE001 - it is who waits for it who handles it
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)

        self._start_thread(work())
        return await done

    def _build(self, task: Callable[[], None]) -> None:
        if not self._slow_disk:
            return task()

        async def work() -> None:
            await self._storage.gates.wait(self.name, "build")
            with self._disk.used_by(self.name):
                try:
                    task()
                except Exception as raised:  # noqa: BLE001 - the world tells of it
                    self.failure = raised

        self._start_thread(work())

    def _start_thread(self, work: object) -> None:
        thread: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._threads.add(thread)
        thread.add_done_callback(self._threads.discard)

    # Its end

    async def crash(self) -> None:
        """All of it is gone at once, threads too."""
        await self._end(self.task, *self._threads)

    async def stop(self) -> None:
        """An orderly end: what is as committed is written."""
        self.task.cancel()
        await self._come_to_its_end(self.task)
        closing = asyncio.create_task(self.matcher.close())
        await self._come_to_its_end(closing)
        await self._end(closing, *self._threads)

    async def _come_to_its_end(self, task: asyncio.Task[None]) -> None:
        """It may have to wait for its threads, and for nobody else."""
        await drain()
        gates = self._storage.gates
        while not task.done():
            await gates.open(next(gate for gate in gates.waiting if gate.process == self.name))

    async def _end(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        os.close(self._lock)
        await drain()

    def files(self, pattern: str) -> list[Path]:
        return self._disk.files(self.name, pattern)
