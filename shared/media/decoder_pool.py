"""The pool of confined child processes (`decoder_process.py`): who is asked next, and what becomes of a child that fails.

Quick and urgent files come first: a file that takes more than `quick_seconds` leaves its place to the next one and goes on in the slow
lane, beside the others. Where that is taken and somebody waits, it is broken off and begun again once its turn in the slow lane comes.
A file's time is the processor's, so that a busy machine makes no file slow; one that only sleeps is slow after some time of the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import structlog

import shared
from shared.errors import Transient
from shared.media.confinement import Means
from shared.media.decoder_process import IDS_VARIABLE, LENGTH, LIMITS_VARIABLE, REQUEST, DecodingJob, Limits
from shared.media.lanes import LaneTurn, Places
from shared.process.accounts import AccountMissing, system_account

log = structlog.get_logger(__name__)

ACCOUNT = "takedown-decoder"
"""The system account of the children where we are root; nothing else runs under it. Made when missing."""
QUICK_SECONDS = 1.5
"""Nearly all pictures take less than a tenth of it."""
WALL_TIMES = 5
"""A file is slow as well once the clock has gone on so many times as far."""
START_SECONDS = 60.0
"""Within which a child is ready: it loads some hundred modules, on a busy machine too."""
SLOW_PLACES = 1
GRACE_SECONDS = 5.0
"""The parent waits longer than the child's own alarm, for one that is stopped or starved of it."""
MAX_ANSWER_BYTES = 1_000_000
"""Some 200 views of 8 hashes are 150 KB."""
PARSED_HERE_BYTES = 200_000


NOBODY = 65534
"""User and group of the kernel's overflow account, where no account can be made."""
Parsed = TypeVar("Parsed")


class Priority(Enum):
    """Who comes first: jobs are served in the order of when they were asked, plus `value` seconds."""

    CHECK = 0.0
    REPORT = 10.0


class DecodingFailed(Exception):
    """The child gave no answer to this file."""


class OutOfTime(DecodingFailed):
    """It took longer than it may."""


class Crashed(DecodingFailed):
    """The child died, or its answer cannot be read."""


class DecoderUnavailable(Transient):
    """The decoding process could not be started."""


class DecoderPool:
    """Hands files to child processes, which start when first needed. A child that dies, hangs, answers nonsense or was cancelled at work is
    killed and replaced."""

    def __init__(self, *, workers: int, limits: Limits, quick_seconds: float = QUICK_SECONDS) -> None:
        self._limits = limits
        self._workers = workers
        self._quick_seconds = quick_seconds
        self._quick, self._slow = Places(workers), Places(SLOW_PLACES)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False
        self._ids: asyncio.Task[tuple[int, int] | None] | None = None
        self._logged: frozenset[Means] = frozenset()

    @property
    def closed(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        """Kill the children and wait until they are gone. A job at work ends in DecodingFailed."""
        self._closed = True
        self._idle.clear()
        for child in tuple(self._children):
            await self._discard(child)

    async def ask(
        self,
        job: DecodingJob,
        body: bytes,
        *,
        parse: Callable[[Any], Parsed],
        priority: Priority = Priority.CHECK,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> Parsed:
        """The answer to a job about a file, parsed from what JSON has.

        `parse` raises ValueError, TypeError or KeyError where it is no answer: a decoder that was taken over may say anything. Raises
        OutOfTime, Crashed, DecoderUnavailable.
        """
        async with LaneTurn(self._quick, self._slow, time.monotonic() + priority.value) as turn:
            try:
                return await self._ask_now(turn, job, body, parse, max_answer_bytes)
            except _GivesWay:
                await turn.wait_in_slow_lane()
            return await self._ask_now(turn, job, body, parse, max_answer_bytes)

    async def _ask_now(
        self, turn: LaneTurn, job: DecodingJob, body: bytes, parse: Callable[[Any], Parsed], max_answer_bytes: int
    ) -> Parsed:
        """Ask a child. Raises _GivesWay too: the job took long, and another one waited."""
        async with self._child() as child:
            work = asyncio.ensure_future(child.ask(job, body, max_answer_bytes))
            try:
                while not (await asyncio.wait((work,), timeout=None if turn.slow else self._quick_seconds))[0]:
                    if child.is_slow(self._quick_seconds):
                        turn.step_aside()
                        if turn.delays_another:
                            raise _GivesWay
                reply = work.result()
                if len(reply) > PARSED_HERE_BYTES:  # a page of many pictures: not on the event loop
                    return await asyncio.to_thread(_parsed, reply, parse)
                return _parsed(reply, parse)
            finally:
                work.cancel()

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[_Child]:
        child = await self._living()
        healthy = False
        try:
            yield child
            healthy = True
        finally:
            if healthy and not self._closed and len(self._idle) < self._workers:
                self._idle.append(child)
            else:
                await asyncio.shield(self._discard(child))

    async def _living(self) -> _Child:
        if self._closed:
            raise DecoderUnavailable("it is closed.")
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._discard(child)  # killed from outside while idle: not the next file's fault
        if self._ids is None:
            self._ids = asyncio.ensure_future(asyncio.to_thread(_ids_to_take))
        child = await _Child.start(self._limits, await asyncio.shield(self._ids))
        self._children.add(child)
        try:
            self._log_unconfined(await child.ready())
            if self._closed:  # meanwhile
                raise Crashed
        except BaseException:
            await asyncio.shield(self._discard(child))
            raise
        return child

    def _log_unconfined(self, unconfined: frozenset[Means]) -> None:
        """Log once what children are not confined by."""
        if not unconfined <= self._logged:
            self._logged |= unconfined
            log.warning("decoder.less_confined", without=sorted(unconfined))

    async def _discard(self, child: _Child) -> None:
        await child.kill()
        self._children.discard(child)


def _parsed(reply: bytes, parse: Callable[[Any], Parsed]) -> Parsed:
    try:
        return parse(json.loads(reply))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Crashed from None


class _GivesWay(Exception):
    """The job is to wait for the slow lane."""


class _Child:
    """One decoding process, asked one file at a time."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self._process = process
        self._limits = limits
        self._began = 0.0, 0.0

    @classmethod
    async def start(cls, limits: Limits, ids: tuple[int, int] | None) -> _Child:
        # -P and -s: nothing from the working directory or the user's own packages enters.
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-s", "-m", "shared.media.decoder_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(limits, ids),
            )
        except OSError as error:
            raise DecoderUnavailable(error.strerror or "") from None
        return cls(process, limits)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> frozenset[Means]:
        """Wait until it has confined itself; what it is not confined by. Raises Crashed, DecoderUnavailable."""
        try:
            async with asyncio.timeout(START_SECONDS):
                said = _parsed(await self._heard(MAX_ANSWER_BYTES), list)
                return frozenset(map(Means, said))
        except TimeoutError:
            raise DecoderUnavailable("it was not ready in time.") from None
        except ValueError:
            raise Crashed from None
        except (OSError, asyncio.IncompleteReadError):
            await self._raise_cause_of_death()

    async def ask(self, job: DecodingJob, body: bytes, max_answer_bytes: int) -> bytes:
        """The child's answer. Raises OutOfTime, Crashed."""
        assert self._process.stdin is not None
        asked = json.dumps(asdict(job)).encode()
        self._began = time.monotonic(), self._processor_seconds()
        try:
            async with asyncio.timeout(self._limits.wall_seconds + GRACE_SECONDS):
                self._process.stdin.write(REQUEST.pack(len(asked), len(body)) + asked)
                self._process.stdin.write(body)
                await self._process.stdin.drain()
                return await self._heard(max_answer_bytes)
        except TimeoutError:
            raise OutOfTime from None
        except (OSError, asyncio.IncompleteReadError):
            await self._raise_cause_of_death()

    async def _heard(self, at_most_bytes: int) -> bytes:
        assert self._process.stdout is not None
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        if length > at_most_bytes:
            raise Crashed
        return await self._process.stdout.readexactly(length)

    def is_slow(self, quick_seconds: float) -> bool:
        """Whether the file at work has taken more than this of the processor, or much more of the clock."""
        began, spent = self._began
        return (
            self._processor_seconds() - spent >= quick_seconds or time.monotonic() - began >= WALL_TIMES * quick_seconds
        )

    def _processor_seconds(self) -> float:
        """The processor time that the child has used; 0 where the system does not say (proc(5))."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_bytes().rpartition(b")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return 0.0

    async def _raise_cause_of_death(self) -> NoReturn:
        """Why it closed its pipes. One that lives on, whatever has become of it, is killed."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            raise Crashed from None
        raise (OutOfTime if -code in (signal.SIGXCPU, signal.SIGALRM) else Crashed) from None

    async def kill(self) -> None:
        """Kill the child. Returns when the process is gone and its pipes are closed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


def _ids_to_take() -> tuple[int, int] | None:
    """(user, group) of an account without rights, where we are root. Blocks."""
    if os.geteuid() != 0:
        return None
    try:
        account = system_account(ACCOUNT)
    except AccountMissing:
        log.warning("decoder.account_missing", instead=NOBODY)
        return NOBODY, NOBODY
    return account.pw_uid, account.pw_gid


def _environment(limits: Limits, ids: tuple[int, int] | None) -> dict[str, str]:
    """The child's: our package, limits, one thread for each library; no secret of ours."""
    return {
        "PYTHONPATH": str(Path(shared.__file__ or "").resolve().parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ.get("PATH", ""),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        LIMITS_VARIABLE: json.dumps(asdict(limits)),
        IDS_VARIABLE: json.dumps(ids),
    }
