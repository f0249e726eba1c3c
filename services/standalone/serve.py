"""Runs services under one roof: their workers, the HTTP face, wake-ups and the log's maintenance, in one task group.

SIGTERM and SIGINT end it in order: the HTTP face first, then the workers, then what they stood on. A worker that ends, however,
ends the process: a service without one of its workers looks alive and is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from services.standalone import assembly
from shared.access.keys import list_keys
from shared.db.embedded.server import EmbeddedPostgres
from shared.errors import Permanent
from shared.http.slow_heads import HeadLimit
from shared.process.event_loop import watch_event_loop
from shared.process.settings import Settings
from shared.service.app import create_app
from shared.service.runtime import OutboundRuntime, Runtime, Service

log = structlog.get_logger(__name__)

HTTP_GRACE_SECONDS = 5
"""Requests under way get this long to end."""
FIRST_KEYS = (
    "There are no keys yet. Create one for each person, in another terminal with the same settings (it is shown once):\n"
    "  takedown keys create --role operations --person p-1 --organisation our-helpline\n"
    "  takedown keys create --role helpline --person p-2 --organisation our-helpline"
)


class AddressTaken(Permanent):
    """The address is in use, or is not an address of this machine. Stop what uses it, or set TAKEDOWN_HOST and TAKEDOWN_PORT."""


class WorkerDied(Permanent):
    """A part of the service failed, so the process ended. Start it again; the log says what failed."""


class _Server(uvicorn.Server):
    """Signals are ours: they end the workers too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises AddressTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise AddressTaken(f"{host}:{port}: {error.strerror}.") from None
    listening.listen(512)
    listening.set_inheritable(False)
    return listening


async def serve_http(app: ASGIApp, listening: Sequence[socket.socket], until: asyncio.Event) -> None:
    """Serve `app` on the sockets until the event; requests under way may end."""
    config = uvicorn.Config(
        app,
        http=HeadLimit,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=HTTP_GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=list(listening)))
    waiting = asyncio.create_task(until.wait())
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        server.force_exit = True  # something else has failed: nobody waits for requests
        raise
    finally:
        server.should_exit = True
        waiting.cancel()
        # uvicorn closes its sockets itself, and must not be cut off before it has.
        await asyncio.wait({serving}, timeout=HTTP_GRACE_SECONDS + 1)
        serving.cancel()
    await serving


def collect_less_often() -> None:
    """Leave what start-up made out of garbage collection, and collect the rest less often.

    By default a full collection walks every imported module again and again: a fifth of the process's time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@asynccontextmanager
async def running(
    runtime: Runtime,
    services: Sequence[Service],
    *,
    listening: socket.socket,
    postgres: EmbeddedPostgres | None = None,
    with_database: bool = True,
) -> AsyncIterator[None]:
    """The services at work while the block runs. Raises WorkerDied in place of the block when one of them ends."""
    collect_less_often()
    stop_http = asyncio.Event()
    app = create_app(runtime, services)
    workers: list[tuple[str, Callable[[], Awaitable[Any]]]] = [(service.name, service.run) for service in services]
    workers.append(("event_loop", watch_event_loop))
    if with_database:
        workers.append(("wakeups", runtime.wakeups.run))
    if postgres is not None:
        workers.append(("postgres", partial(_until_gone, postgres)))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_supervised(name, work)) for name, work in workers]
            # On Kafka the brokers maintain the log: it returns at once.
            tasks.append(group.create_task(_supervised("maintenance", runtime.log.run_maintenance, may_return=True)))
            http = group.create_task(serve_http(app, [listening], stop_http))
            try:
                yield
            finally:
                stop_http.set()
                await asyncio.wait({http})
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to tell: a worker's death before anything that came of it."""
    found = [_first(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    return next((error for error in found if isinstance(error, WorkerDied)), found[0])


async def _supervised(name: str, work: Callable[[], Awaitable[Any]], *, may_return: bool = False) -> None:
    try:
        await work()
    except Exception as error:
        # What it says may quote a URL or a hash; its kind and place do not.
        log.error("worker.died", worker=name, error=type(error).__name__, at=_place(error))
        log.debug("worker.died_of", worker=name, exc_info=error)
        raise WorkerDied(f"{name}: {type(error).__name__}.") from error
    if may_return:
        return
    log.error("worker.died", worker=name, error="it returned")
    raise WorkerDied(f"{name}: it returned.")


def _place(error: BaseException) -> str:
    """File and line where it was raised; of a group's first error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


async def _until_gone(postgres: EmbeddedPostgres) -> None:
    while not postgres.gone.is_set():  # noqa: ASYNC110 - a threading.Event of the supervisor's thread
        await asyncio.sleep(0.5)


@asynccontextmanager
async def signals_as_event() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets. A second one is as impatient as without us."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard(number: signal.Signals) -> None:
        log.info("signal.received", signal=number.name)
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard, number)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def standalone(settings: Settings, listening: socket.socket) -> AsyncIterator[OutboundRuntime]:
    """Every service at work on the embedded (or configured) PostgreSQL: what `serve` and the demo run."""
    async with AsyncExitStack() as stack:
        postgres = None
        if settings.database is None:
            postgres = await stack.enter_async_context(assembly.embedded_postgres(settings))
        conninfo = settings.database or (postgres.conninfo if postgres is not None else None)
        plain = await stack.enter_async_context(assembly.open_runtime(settings, conninfo, create_root_key=True))
        runtime = await stack.enter_async_context(assembly.open_outbound(plain, checks=True))
        for name in await assembly.prepare(settings, runtime.database, runtime.log):
            log.info("migration.applied", migration=name)
        services = assembly.create_services(runtime)
        await stack.enter_async_context(running(runtime, services, listening=listening, postgres=postgres))
        yield runtime


async def serve(settings: Settings) -> None:
    """`takedown serve`: all services in this process until a signal. Raises TakedownErrors."""
    listening = listen(settings.host, assembly.PORTS["serve"] if settings.port is None else settings.port)
    async with signals_as_event() as stop, standalone(settings, listening) as runtime:
        async with runtime.database.transaction() as tx:
            no_key = not await list_keys(tx)
        log.info("serve.started", host=settings.host, port=listening.getsockname()[1], log=settings.log)
        if no_key:
            log.info("serve.no_key_yet")
            print(FIRST_KEYS, flush=True)  # noqa: T201 - the first start's one hint, for a person
        await stop.wait()
    log.info("serve.stopped")


async def serve_one(name: str, settings: Settings) -> None:
    """`takedown intake|matcher|notifier|console`: one service. Raises NotPrepared until migrations and topics are there."""
    without_database = name == "matcher" and settings.log == "kafka" and settings.database is None
    conninfo = None if without_database else assembly.conninfo_for_service(settings)
    async with signals_as_event() as stop, AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(assembly.open_runtime(settings, conninfo, create_root_key=False))
        await assembly.require_prepared(settings, None if without_database else runtime.database, runtime.log)
        if name in assembly.LOOK_OR_SEND:
            runtime = await stack.enter_async_context(assembly.open_outbound(runtime, checks=name == "notifier"))
        listening = listen(settings.host, assembly.PORTS[name] if settings.port is None else settings.port)
        services = assembly.create_services(runtime, [name])
        await stack.enter_async_context(
            running(runtime, services, listening=listening, with_database=not without_database)
        )
        log.info("service.started", service=name, host=settings.host, port=listening.getsockname()[1], log=settings.log)
        await stop.wait()
    log.info("service.stopped", service=name)
