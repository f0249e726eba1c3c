"""Start the local Kafka of ``deploy/kafka-local`` from a test, the demo or a benchmark, and stop it again.

It needs a checkout (the launcher is no part of the installed package) and ends when this process does, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.errors import Permanent
from shared.process.signals import InterruptibleQueue

_FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "kafka-local"
LAUNCHER = _FOLDER / "kafka_local.py"
BROKER_PROPERTIES = _FOLDER / "broker.properties"
"""The broker's settings that the launcher, docker-compose and the tests share."""


class KafkaLocalError(Permanent):
    """The local Kafka could not be started."""


class LocalKafka:
    """A running local Kafka. Use ``start_kafka``; leave by ``stop`` or ``with``."""

    def __init__(self, *, launcher: subprocess.Popen[str], announced: Mapping[str, object]) -> None:
        self._launcher = launcher
        self.bootstrap_servers = str(announced["bootstrap_servers"])
        self.cluster_id = str(announced["cluster_id"])
        self.log_file = Path(str(announced["log"]))
        self._kafka_pid = int(str(announced["pid"]))

    @property
    def launcher_pid(self) -> int:
        return self._launcher.pid

    @property
    def kafka_pid(self) -> int:
        """Process id of the Java process; it is not started again when it ends."""
        return self._kafka_pid

    @property
    def running(self) -> bool:
        return self._launcher.poll() is None

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Stop it cleanly, by force after ``timeout_seconds``. Does nothing when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._launcher.terminate()
        try:
            self._launcher.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._launcher.kill()  # its supervisor then stops Kafka
            self._launcher.wait()

    def kill(self) -> None:
        """``kill -9`` of Kafka, as a crash; what it had acknowledged is there at the next start on the same data dir."""
        with contextlib.suppress(ProcessLookupError):
            if self.running:
                os.kill(self._kafka_pid, signal.SIGKILL)
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_kafka(
    *,
    data_dir: Path,
    port: int = 0,
    properties: Mapping[str, str] | None = None,
    ready_timeout_seconds: float = 120.0,
    on_progress: Callable[[str], None] | None = None,
) -> LocalKafka:
    """Run the launcher on ``data_dir`` (made when missing) and wait until Kafka answers. Blocks.

    ``port`` 0: the one used before on this data dir, else a free one. ``properties`` win over ``broker.properties``.
    ``ready_timeout_seconds`` is counted from the last sign of progress, so a slow first download does not run into it.
    ``on_progress`` takes the launcher's lines (default: they go to standard error). Raises KafkaLocalError.
    """
    if not LAUNCHER.is_file():
        raise KafkaLocalError(f"{LAUNCHER} is not there: a local Kafka needs a checkout of the repository.")
    argv = [sys.executable, str(LAUNCHER), "--data-dir", str(data_dir), "--port", str(port)]
    argv += ["--die-with-parent", str(os.getpid())]
    if properties:
        argv += ["--properties", *(f"{name}={value}" for name, value in properties.items())]
    launcher = subprocess.Popen(  # noqa: S603 - our own program
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines: InterruptibleQueue[str | None] = InterruptibleQueue()
    output = threading.Thread(target=_read_output, args=(launcher, lines), name="kafka-local-out", daemon=True)
    messages = threading.Thread(
        target=_read_messages, args=(launcher, lines, on_progress or _to_stderr), name="kafka-local-err", daemon=True
    )
    output.start()
    messages.start()
    try:
        return LocalKafka(launcher=launcher, announced=_wait_for_announcement(lines, ready_timeout_seconds))
    except BaseException:
        launcher.kill()
        launcher.wait()
        raise


def read_properties(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def answers(port: int) -> bool:
    """Whether the broker answers a metadata request (api key 3, version 4) and knows of a broker that takes requests."""
    correlation_id = 0x7A3D0001
    request = struct.pack(">hhih", 3, 4, correlation_id, -1) + struct.pack(
        ">ib", 0, 0
    )  # no client id, no topics, make none
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = b""
            while len(head) < 16:
                part = connection.recv(16 - len(head))
                if not part:
                    return False
                head += part
    except OSError:
        return False
    _, answered, _, brokers = struct.unpack(">iiii", head)  # size, correlation id, throttle time, brokers
    return bool(answered == correlation_id and brokers >= 1)


def _wait_for_announcement(lines: InterruptibleQueue[str | None], timeout_seconds: float) -> Mapping[str, object]:
    """Reads what both threads hand over: ``{…}`` is the announcement, other text progress, ``None`` the launcher's end."""
    last_message = ""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            line = lines.get(max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise KafkaLocalError(f"No sign of progress for {timeout_seconds:.0f} s. {last_message}") from None
        if line is None:
            raise KafkaLocalError(last_message)
        if line.startswith("{"):
            announced: Mapping[str, object] = json.loads(line)
            return announced
        last_message = line
        deadline = time.monotonic() + timeout_seconds


def _read_output(launcher: subprocess.Popen[str], lines: InterruptibleQueue[str | None]) -> None:
    assert launcher.stdout is not None
    with launcher.stdout as stream:
        for line in stream:
            lines.put(line.strip())


def _read_messages(
    launcher: subprocess.Popen[str], lines: InterruptibleQueue[str | None], on_progress: Callable[[str], None]
) -> None:
    assert launcher.stderr is not None
    with launcher.stderr as stream:
        for line in stream:
            lines.put(line.strip())
            on_progress(line.rstrip("\n"))
    launcher.wait()
    lines.put(None)


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
