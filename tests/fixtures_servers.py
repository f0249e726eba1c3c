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
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.db.embedded.server import EmbeddedPostgres
from shared.log.kafka.local import BROKER_PROPERTIES, KafkaLocalError, answers, read_properties, start_kafka

KAFKA_IMAGE = "apache/kafka:4.3.1"
KAFKA_TEST_PROPERTIES = {
    # The tests see compaction and retention happen, so both look often.
    "log.cleaner.backoff.ms": "200",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "1000",
}


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
        left = processes_of(path)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {left}"


def processes_of(folder: Path) -> dict[int, str]:
    """Processes that work in ``folder`` or name it on their command line, by process id; our own left out."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            works_in = os.readlink(entry / "cwd")
        except OSError:  # it has ended, or is somebody else's
            continue
        if str(folder) in command or works_in.startswith(str(folder)):
            found[int(entry.name)] = command[:200]
    return found


def wait_until(condition: Callable[[], object], *, seconds: float) -> float:
    """Wait for the condition; how long it took, in seconds. Fails after ``seconds``."""
    started_at = time.monotonic()
    while not condition():
        if time.monotonic() > started_at + seconds:
            pytest.fail(f"not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - started_at


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
    with own_database(postgres_conninfo) as conninfo:
        yield conninfo


@contextmanager
def own_database(postgres_conninfo: str) -> Iterator[str]:
    """The same for fixtures of a wider scope."""
    name = f"test_{secrets.token_hex(8)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    yield make_conninfo(postgres_conninfo, dbname=name)
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """``host:port`` of an Apache Kafka that every test of the session shares: name topics and groups of your own."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with ExitStack() as stack:
        try:
            bootstrap_servers = _kafka_in_docker(stack) or _kafka_from_launcher(stack)
        except KafkaLocalError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"no Kafka: {error}")
        yield bootstrap_servers


def _kafka_from_launcher(stack: ExitStack) -> str:
    path = stack.enter_context(open_temporary_dir())
    kafka = stack.enter_context(start_kafka(data_dir=path / "kafka", properties=KAFKA_TEST_PROPERTIES))
    return kafka.bootstrap_servers


def _kafka_in_docker(stack: ExitStack) -> str | None:
    """A container with the launcher's settings; ``None`` where no Docker engine answers or the image can not be had."""
    import docker  # type: ignore[import-untyped]  # it ships no types
    from docker.errors import DockerException  # type: ignore[import-untyped]  # it ships no types

    try:
        docker.from_env(timeout=5).ping()
    except (DockerException, OSError):
        return None
    from testcontainers.core.container import DockerContainer

    port = _free_port()
    settings = {
        **read_properties(BROKER_PROPERTIES),
        **KAFKA_TEST_PROPERTIES,
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": "1@localhost:9093",
    }
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    for name, value in settings.items():  # the image's own spelling of a property
        container = container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    try:
        stack.enter_context(container)
    except DockerException:
        return None
    return _when_it_answers("127.0.0.1", port)


def _when_it_answers(host: str, port: int) -> str:
    bootstrap_servers = f"{host}:{port}"
    deadline = time.monotonic() + 60
    while not answers(port):
        if time.monotonic() > deadline:
            raise KafkaLocalError(f"the container at {bootstrap_servers} did not answer in time")
        time.sleep(0.2)
    return bootstrap_servers


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
