"""Builds what services are given (`Runtime`) from the settings: database, log, keys, guarded clients, fingerprinter."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import importlib.util
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

import shared.db
from shared.clock import system_clock
from shared.contracts.topics import TOPICS
from shared.db.embedded.server import EmbeddedPostgres, conninfo_if_running
from shared.db.migrations import Schema, migrate, pending
from shared.db.pool import Database, DatabaseUnavailable
from shared.db.wakeups import Wakeups
from shared.errors import BadSettings, NotPrepared
from shared.log.port import EventLog
from shared.log.postgres.log import SCHEMA as EVENTLOG
from shared.log.postgres.log import PostgresLog
from shared.process.settings import Settings
from shared.service.runtime import OutboundRuntime, Runtime, Service

if TYPE_CHECKING:
    from shared.log.kafka.access import KafkaAccess
    from shared.media.browser.browser import Browser
    from shared.media.browser.process import BrowserProgram
    from shared.outbound.guard import AddressGuard

log = structlog.get_logger(__name__)

BROWSER_TURN_SECONDS = 60.0
"""A check waits so long for the browser, longer than one look lasts; then it is looked at again later."""

DATABASE_PATIENCE_SECONDS = 30.0
"""A service that starts beside its database waits so long for it."""
NAMES = ("intake", "matcher", "notifier", "console")
"""Every service, in the order they are started."""
PORTS = {"serve": 8400, "intake": 8401, "matcher": 8402, "notifier": 8403, "console": 8404}

SERVICES = Path(__file__).resolve().parents[1]
ACCESS = Schema(name="access", folder=Path(shared.db.__path__[0]) / "schemas" / "access")


class _ServiceModule(Protocol):
    """The module of a service: it creates the service."""

    def create(self, runtime: Runtime) -> Service: ...


def create_services(runtime: Runtime, names: Sequence[str] = NAMES) -> list[Service]:
    """The named services; intake and the notifier are given an `OutboundRuntime`.

    Each is imported when it is asked for: one service's process does not load the others.
    """
    modules = [importlib.import_module(f"services.{name}.service") for name in names]
    return [cast(_ServiceModule, module).create(runtime) for module in modules]


def schemas_of(settings: Settings) -> list[Schema]:
    """The schemas this deployment has; the log's own only where the log is PostgreSQL."""
    owned = [
        Schema(name="intake", folder=SERVICES / "intake" / "migrations"),
        Schema(name="notifier", folder=SERVICES / "notifier" / "store" / "migrations"),
    ]
    return [ACCESS, *([EVENTLOG] if settings.log == "postgres" else []), *owned]


LOOK_OR_SEND = frozenset({"intake", "notifier"})
"""Services that look at targets or post demands."""

# The database


def postgres_dir(settings: Settings) -> Path:
    """Where the embedded PostgreSQL lives."""
    return settings.data_dir / "postgres"


@asynccontextmanager
async def embedded_postgres(settings: Settings) -> AsyncIterator[EmbeddedPostgres]:
    """The embedded PostgreSQL, for as long as the block runs. Raises EmbeddedPostgresError."""
    _make_data_dir(settings)
    server = EmbeddedPostgres(postgres_dir(settings))
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        # Shielded: a start that was cancelled half-way would leave a server that nobody stops before the process ends.
        await asyncio.shield(starting)
        yield server
    finally:
        if not starting.done():
            await asyncio.wait([starting])
        await asyncio.shield(asyncio.to_thread(server.stop))


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            f"TAKEDOWN_DATA_DIR: the folder {settings.data_dir} cannot be made: {error.strerror}."
        ) from None


@contextmanager
def _one_command_at_a_time(settings: Settings) -> Iterator[None]:
    """Commands that may have to start the server take turns, so that none finds another's about to stop."""
    _make_data_dir(settings)
    descriptor = os.open(settings.data_dir / "command.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def database_for_command(settings: Settings) -> AsyncIterator[Database]:
    """The database for one command: the configured one, the one a running `serve` has, else started for the call."""
    async with AsyncExitStack() as stack:
        conninfo = settings.database
        if conninfo is None:
            stack.enter_context(_one_command_at_a_time(settings))
            conninfo = conninfo_if_running(postgres_dir(settings))
        if conninfo is None:
            conninfo = (await stack.enter_async_context(embedded_postgres(settings))).conninfo
        await _reach(conninfo, patience_seconds=0)
        yield await stack.enter_async_context(Database(conninfo, max_connections=4))


async def _reach(conninfo: str, *, patience_seconds: float) -> None:
    """Wait until a connection can be had, at most for this long. Raises DatabaseUnavailable, which says why; BadSettings."""
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:  # its text may quote a password
        raise BadSettings(
            "TAKEDOWN_DATABASE is not a PostgreSQL connection string, such as postgresql://user@host/database."
        ) from None
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            await (await AsyncConnection.connect(conninfo, connect_timeout=10)).close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() >= deadline:
                raise DatabaseUnavailable(" ".join(str(error).split())) from None
        log.warning("database.awaited")
        await asyncio.sleep(1)


def conninfo_for_service(settings: Settings) -> str:
    """For a service on its own: the configured database, or that of a running `serve`. Raises BadSettings."""
    conninfo = settings.database or conninfo_if_running(postgres_dir(settings))
    if conninfo is None:
        raise BadSettings(
            "TAKEDOWN_DATABASE is not set, and no `takedown serve` is running with this data directory. A service on its own"
            " does not start a PostgreSQL: set TAKEDOWN_DATABASE, or run `takedown serve`."
        )
    return conninfo


# The log


def open_log(settings: Settings, database: Database, wakeups: Wakeups) -> EventLog:
    """The log adapter of the settings; nothing is connected yet. Raises BadSettings."""
    if settings.log == "postgres":
        return PostgresLog(database, wakeups)
    if settings.kafka_bootstrap_servers is None:
        raise BadSettings(
            "TAKEDOWN_LOG is kafka, so TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS must name the brokers (host:port,…)."
        )
    from shared.log.kafka.log import KafkaLog  # loaded only where the log is Kafka

    access = kafka_access(settings)
    for danger in access.open_to:
        log.warning(f"kafka.{danger}")
    return KafkaLog(access)


def kafka_access(settings: Settings) -> KafkaAccess:
    """How Kafka is reached, by the settings. Raises BadSettings."""
    from shared.log.kafka.access import Credentials, KafkaAccess, read_tls

    assert settings.kafka_bootstrap_servers is not None, "asked for by `open_log`"
    files = (settings.kafka_ca_file, settings.kafka_cert_file, settings.kafka_key_file)
    if not settings.kafka_tls and any(files):
        raise BadSettings(
            "TAKEDOWN_KAFKA_TLS is not set, so the files of TLS would not be used: set it to true, or unset them."
        )
    named = (settings.kafka_username, settings.kafka_password)
    if settings.kafka_sasl is None and any(named):
        raise BadSettings(
            "TAKEDOWN_KAFKA_SASL is not set, so the user name and password would not be used: set it to SCRAM-SHA-512,"
            " SCRAM-SHA-256 or PLAIN, or unset them."
        )
    if settings.kafka_sasl is not None and not all(named):
        raise BadSettings("TAKEDOWN_KAFKA_SASL needs TAKEDOWN_KAFKA_USERNAME and TAKEDOWN_KAFKA_PASSWORD.")
    ca_file, cert_file, key_file = files
    return KafkaAccess(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        tls=read_tls(ca_file=ca_file, cert_file=cert_file, key_file=key_file) if settings.kafka_tls else None,
        certificate=cert_file is not None,
        credentials=None
        if settings.kafka_sasl is None
        else Credentials(
            mechanism=settings.kafka_sasl, username=str(settings.kafka_username), password=str(settings.kafka_password)
        ),
    )


async def prepare_postgres_log(database: Database, wakeups: Wakeups) -> PostgresLog:
    """The log's tables made where missing, and the log on them. For benchmarks and tests."""
    await migrate(database, [EVENTLOG])
    return PostgresLog(database, wakeups)


async def prepare(settings: Settings, database: Database, event_log: EventLog) -> list[str]:
    """Migrate and ensure topics, as `serve` and the demo do; returns the migrations applied."""
    applied = await migrate(database, schemas_of(settings))
    await event_log.ensure_topics(TOPICS)
    return applied


async def require_prepared(settings: Settings, database: Database | None, event_log: EventLog) -> None:
    """Raises NotPrepared while a migration or topic is missing. `database` None: the service has none."""
    missing = await pending(database, schemas_of(settings)) if database is not None else []
    if missing:
        raise NotPrepared(f"Migrations not applied yet: {', '.join(missing)}.")
    topics = await event_log.missing_topics(TOPICS)
    if topics:
        raise NotPrepared(f"Missing topics: {', '.join(topics)}.")


# The rest


def build_guard(settings: Settings) -> AddressGuard:
    """The address guard of the settings. Raises BadSettings."""
    from shared.outbound.guard import AddressGuard  # a command on the database or the log sends nothing

    return AddressGuard.of(
        settings.outbound_allow, settings.static_hosts, allow_static_hosts=settings.allow_static_hosts
    )


def build_runtime(settings: Settings, database: Database, *, create_root_key: bool) -> Runtime:
    """A Runtime over `database` (opened or not); nothing is connected or started. Raises BadSettings."""
    from shared.access.keyring import KeyRing, read_root_key  # a command on the database or the log derives no key

    wakeups = Wakeups(database)
    return Runtime(
        settings=settings,
        policy=settings.policy,
        database=database,
        wakeups=wakeups,
        log=open_log(settings, database, wakeups),
        keys=KeyRing.from_root(read_root_key(settings.root_key, settings.data_dir, create=create_root_key)),
        clock=system_clock,
    )


def with_outbound(runtime: Runtime, *, checks: bool = False) -> OutboundRuntime:
    """The runtime with clients and decoders, none of which is connected or started. `checks`: and with the browser that checks use. Raises
    BadSettings.

    Raises BadSettings.
    """
    # Loaded where they are needed: a matcher starts without them.
    from shared.media.fingerprinter import DEFAULT_LIMITS, Fingerprinter
    from shared.outbound.fetch import Fetcher

    settings, policy = runtime.settings, runtime.policy
    guard = build_guard(settings)
    limits = replace(DEFAULT_LIMITS, max_pixels=policy.fetch_max_pixels)
    return OutboundRuntime(
        **{one.name: getattr(runtime, one.name) for one in fields(runtime)},
        fetcher=Fetcher(guard, user_agent=settings.fetch_user_agent, connections_per_host=policy.connections_per_host),
        webhooks=Fetcher(
            guard, user_agent=settings.webhook_user_agent, connections_per_host=policy.connections_per_host
        ),
        fingerprinter=Fingerprinter(workers=2, limits=limits),
        browser=_browser(runtime, guard) if checks else None,
    )


def _browser(runtime: Runtime, guard: AddressGuard) -> Browser | None:
    """The browser, not started yet; None: there is none. Raises BadSettings."""
    from shared.media.browser.browser import Browser
    from shared.media.browser.look import BrowserLimits

    program = _browser_program(runtime.settings)
    if program is None:
        return None
    limits = BrowserLimits(
        looks_an_hour=runtime.policy.browser_looks_per_hour,
        site_share=runtime.policy.browser_site_share,
        turn_seconds=BROWSER_TURN_SECONDS,
    )
    return Browser(program, guard, limits=limits)


def _browser_program(settings: Settings) -> BrowserProgram | None:
    """The path of the browser's program; None: there is none, and the log says why. Raises BadSettings."""
    from shared.media.browser.process import BrowserProgram
    from shared.media.browser.program import OFF, find_chromium

    if settings.browser == OFF:
        log.info("browser.off", means="more ends with a person")
        return None
    path = find_chromium(settings.browser)
    missing = None
    if path is None:
        missing = "Chromium is not installed (Debian: `apt install chromium`)"
    elif importlib.util.find_spec("playwright") is None:
        missing = "Playwright is not installed (`pip install takedown[browser]`)"
    if path is None or missing is not None:
        log.warning(
            "browser.none", missing=missing, means="more ends with a person; TAKEDOWN_BROWSER=off says that it is meant"
        )
        return None
    sandbox = settings.browser_sandbox == "on"
    if not sandbox:
        log.warning(
            "browser.without_sandbox",
            setting="TAKEDOWN_BROWSER_SANDBOX=off",
            means="a page that breaks into Chromium has its account",
        )
    log.info("browser.found", program=str(path), sandbox=settings.browser_sandbox)
    return BrowserProgram(path=path, sandbox=sandbox)


@asynccontextmanager
async def open_runtime(settings: Settings, conninfo: str | None, *, create_root_key: bool) -> AsyncIterator[Runtime]:
    """A Runtime with its database open; all of it is closed afterwards.

    `conninfo` None: no database is opened (a matcher on Kafka has none). Raises BadSettings, DatabaseUnavailable.
    """
    async with AsyncExitStack() as stack:
        database = Database(conninfo or "")
        runtime = build_runtime(settings, database, create_root_key=create_root_key)
        if conninfo is not None:
            await _reach(conninfo, patience_seconds=DATABASE_PATIENCE_SECONDS)
            await stack.enter_async_context(database)
        stack.push_async_callback(runtime.log.close)
        yield runtime


@asynccontextmanager
async def open_outbound(runtime: Runtime, *, checks: bool) -> AsyncIterator[OutboundRuntime]:
    """The runtime of services that look at targets or post demands. `checks`: the notifier is among them. Raises BadSettings."""
    async with AsyncExitStack() as stack:
        outbound = with_outbound(runtime, checks=checks)
        stack.push_async_callback(outbound.fingerprinter.aclose)
        stack.push_async_callback(outbound.webhooks.aclose)
        stack.push_async_callback(outbound.fetcher.aclose)
        if outbound.browser is not None:
            stack.push_async_callback(outbound.browser.aclose)
        yield outbound
