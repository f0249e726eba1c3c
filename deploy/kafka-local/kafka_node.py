"""One Kafka node on disk and on the wire: its lock, ports, properties, formatting, and whether it answers. Used by ``kafka_local.py``.

A data dir holds ``log/`` (Kafka's own), ``server.properties``, ``ports.json``, ``kafka.log`` (of this run; ``kafka.log.1`` of the one
before), ``tmp/`` and ``lock``. The folder belongs to this machine's launcher alone; nothing of it is meant for another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.log.kafka.local import BROKER_PROPERTIES, read_properties
from shared.process.supervise import ServerSpec, StopStep, SupervisedServer, SupervisorEvent

ADDRESS = "127.0.0.1"
NODE_ID = 1
FORMAT_TIMEOUT_SECONDS = 60.0
WAIT_FOR_PREVIOUS_SECONDS = 10.0

# The death of the owner is answered within 5 s, so Kafka has half of that for a clean end; a kill costs a log recovery, no data.
_STOP = (StopStep(signal=signal.SIGTERM, seconds=15.0),)
_ORPHANED = (StopStep(signal=signal.SIGTERM, seconds=2.5),)


class NodeError(Exception):
    """The message is for a person, on one line."""


class Stopped(Exception):
    """Nothing is started any more."""


class OneServer:
    """The one server process that a launcher runs at a time, and its end. ``stop`` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: SupervisedServer | None = None
        self._stopped = False

    def start(
        self, spec: ServerSpec, env: Mapping[str, str], on_event: Callable[[SupervisorEvent], None] | None = None
    ) -> SupervisedServer:
        """Start the next one; the one before must have ended. Raises Stopped."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._server = SupervisedServer(spec, env=env, on_event=on_event)
            return self._server

    def stop(self, timeout_seconds: float) -> None:
        """Stop what runs, by force after ``timeout_seconds``; nothing is started afterwards."""
        with self._lock:
            self._stopped = True
        if self._server is not None:
            self._server.stop(timeout_seconds)


@dataclass(frozen=True, kw_only=True)
class Ports:
    broker: int
    controller: int


@dataclass(frozen=True, kw_only=True)
class Node:
    """A data dir that this process holds the lock of, Java with its options, the jars, and what runs on them."""

    data_dir: Path
    java: tuple[str, ...]
    class_path: tuple[Path, ...]
    lock_fd: int
    server: OneServer

    @property
    def log_file(self) -> Path:
        return self.data_dir / "kafka.log"

    @property
    def properties_file(self) -> Path:
        return self.data_dir / "server.properties"

    def start(self) -> SupervisedServer:
        """Start Kafka. Raises Stopped."""
        spec = ServerSpec(
            argv=(*self.java, f"-Djava.io.tmpdir={self.data_dir / 'tmp'}", "kafka.Kafka", str(self.properties_file)),
            log_path=str(self.log_file),
            stop=_STOP,
            orphaned=_ORPHANED,
            cwd=str(self.data_dir),
            keep_fds=(self.lock_fd,),
        )
        return self.server.start(spec, self._environment())

    def format(self, properties: Mapping[str, str]) -> str:
        """Make ``log/`` when missing, whole or not at all; the cluster's id. Raises NodeError, Stopped."""
        log_dir = self.data_dir / "log"
        if not log_dir.exists():
            new = self.data_dir / "log.new"
            shutil.rmtree(new, ignore_errors=True)  # of an interrupted one
            file = self.data_dir / "format.properties"
            write_properties(file, {**properties, "log.dirs": str(new)})
            tool = ("-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format")
            spec = ServerSpec(
                argv=(*self.java, *tool, "--cluster-id", _random_cluster_id(), "--config", str(file)),
                log_path=str(self.log_file),
                stop=(),
                orphaned=(),
                keep_fds=(self.lock_fd,),
            )
            statuses: list[int | None] = []
            run = self.server.start(spec, self._environment(), lambda event: statuses.append(event.status))
            try:
                finished = run.wait(FORMAT_TIMEOUT_SECONDS)
            finally:
                run.kill()
            if not finished or 0 not in statuses:
                raise NodeError(f"formatting failed; see {self.log_file}")
            new.rename(log_dir)
        for line in (log_dir / "meta.properties").read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "cluster.id":
                return value
        raise NodeError(f"{log_dir / 'meta.properties'} names no cluster")

    def _environment(self) -> dict[str, str]:
        """No secret of ours reaches Kafka."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "CLASSPATH": ":".join(map(str, self.class_path))}

    def turn_over_log(self) -> None:
        """Start an empty log, keep the one before, and clear what a killed Java left in its temporary folder."""
        if self.log_file.exists():
            self.log_file.rename(self.log_file.with_suffix(".log.1"))
        shutil.rmtree(self.data_dir / "tmp", ignore_errors=True)
        (self.data_dir / "tmp").mkdir()

    def port_was_taken(self) -> bool:
        return "Address already in use" in self.log_file.read_text(errors="replace")


def lock_data_dir(data_dir: Path) -> int:
    """The file descriptor of the folder's lock. Kafka inherits it, so a folder whose Kafka still stops is waited for.

    Raises NodeError when somebody goes on using the folder, or it can not be made.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NodeError(f"{data_dir} can not be used: {error.strerror}") from None
    deadline = time.monotonic() + WAIT_FOR_PREVIOUS_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise NodeError(f"another Kafka runs in {data_dir}") from None
            time.sleep(0.1)
        else:
            return fd


def choose_ports(data_dir: Path, wanted_broker_port: int, *, forget: bool = False) -> Ports:
    """The ports used before if they are free, so that clients find Kafka again; else free ones. Raises NodeError."""
    before: Ports | None = None
    with contextlib.suppress(OSError, ValueError, TypeError):
        before = Ports(**json.loads((data_dir / "ports.json").read_text()))
    if forget:
        before = None
    with contextlib.ExitStack() as stack:
        broker = wanted_broker_port or (before.broker if before else 0)
        try:
            held = stack.enter_context(_bound(broker))
        except OSError as error:
            if wanted_broker_port:
                raise NodeError(f"port {wanted_broker_port} on {ADDRESS}: {error.strerror}") from None
            held = stack.enter_context(_bound(0))
        try:
            controller = stack.enter_context(_bound(before.controller if before else 0))
        except OSError:
            controller = stack.enter_context(_bound(0))
        return Ports(broker=held.getsockname()[1], controller=controller.getsockname()[1])


def remember_ports(data_dir: Path, ports: Ports) -> None:
    new = data_dir / "ports.json.new"
    new.write_text(json.dumps(asdict(ports)))
    new.replace(data_dir / "ports.json")


def node_properties(data_dir: Path, ports: Ports, extra: Mapping[str, str]) -> dict[str, str]:
    """``broker.properties``, then what belongs to this node, then what the caller gave; a later one wins."""
    return {
        **read_properties(BROKER_PROPERTIES),
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "listeners": f"PLAINTEXT://{ADDRESS}:{ports.broker},CONTROLLER://{ADDRESS}:{ports.controller}",
        "advertised.listeners": f"PLAINTEXT://{ADDRESS}:{ports.broker},CONTROLLER://{ADDRESS}:{ports.controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"{NODE_ID}@{ADDRESS}:{ports.controller}",  # not --standalone: that keeps the port in the log
        "log.dirs": str(data_dir / "log"),
        **extra,
    }


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    escaped = ((name, value.replace("\\", "\\\\")) for name, value in properties.items())
    path.write_text("".join(f"{name}={value}\n" for name, value in escaped))


def _bound(port: int) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((ADDRESS, port))
    except OSError:
        held.close()
        raise
    return held


def _random_cluster_id() -> str:
    """As Kafka's own: 16 random bytes in base64 for URLs; not one that looks like an option."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def java_options(log_configuration: Path, level: str) -> Sequence[str]:
    return (
        *("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC"),
        *(
            "--sun-misc-unsafe-memory-access=allow",
            "--enable-native-access=ALL-UNNAMED",
        ),  # said, so that Java does not warn
        *("-XX:+ExitOnOutOfMemoryError", "-XX:-CreateCoredumpOnCrash", "-XX:-UsePerfData"),
        *(f"-Dlog4j2.configurationFile={log_configuration}", f"-Dtakedown.log.level={level}"),
    )
