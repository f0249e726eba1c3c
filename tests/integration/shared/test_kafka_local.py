"""The local Kafka: it answers, keeps what it acknowledged, and leaves nothing running however it ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.log.kafka.local import LAUNCHER, KafkaLocalError, start_kafka
from tests.fixtures_servers import processes_of, wait_until

GONE_WITHIN_SECONDS = 5.0
SHORT_SESSION = {"broker.session.timeout.ms": "6000"}
"""After a crash Kafka waits for its former session; 30 s of that would only make the tests slow."""

PARENT = """
import sys, time
from pathlib import Path
from shared.log.kafka.local import start_kafka

kafka = start_kafka(data_dir=Path(sys.argv[1]))
print("READY", kafka.launcher_pid, kafka.kafka_pid, flush=True)
time.sleep(600)
"""


async def publish(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def read(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]


def gone(data_dir: Path) -> bool:
    return not processes_of(data_dir)


async def test_the_shared_kafka_takes_and_gives_a_record(kafka_bootstrap: str) -> None:
    topic = f"test-{uuid4()}"
    await publish(kafka_bootstrap, topic, b"one")
    assert await read(kafka_bootstrap, topic, 1) == [b"one"]


async def test_it_keeps_what_it_acknowledged_over_stop_and_crash(server_dir: Path) -> None:
    data_dir = server_dir / "kafka"
    with start_kafka(data_dir=data_dir, properties=SHORT_SESSION) as first:
        await publish(first.bootstrap_servers, "kept", b"one", b"two")
    assert gone(data_dir)
    with start_kafka(data_dir=data_dir, properties=SHORT_SESSION) as second:
        assert (second.bootstrap_servers, second.cluster_id) == (first.bootstrap_servers, first.cluster_id)
        assert await read(second.bootstrap_servers, "kept", 2) == [b"one", b"two"]
        second.kill()
        assert not second.running
        wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)
    (data_dir / "ports.json").unlink()  # also at another port
    with start_kafka(data_dir=data_dir, properties=SHORT_SESSION) as third:
        assert third.cluster_id == first.cluster_id
        assert await read(third.bootstrap_servers, "kept", 2) == [b"one", b"two"]


def test_it_stops_when_its_launcher_is_killed(server_dir: Path) -> None:
    data_dir = server_dir / "kafka"
    with start_kafka(data_dir=data_dir) as kafka:
        os.kill(kafka.launcher_pid, signal.SIGKILL)
        wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)


def test_it_stops_when_the_parent_of_its_launcher_is_killed(server_dir: Path) -> None:
    data_dir = server_dir / "kafka"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(data_dir)], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            next(line for line in parent.stdout if line.startswith("READY "))
        finally:
            parent.kill()
        wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)


@pytest.mark.parametrize(
    "by",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
    ids=lambda by: "+".join(one.name for one in by),
)
def test_in_the_foreground_it_announces_itself_and_stops_cleanly(
    server_dir: Path, by: tuple[signal.Signals, ...]
) -> None:
    data_dir = server_dir / "kafka"
    command = [sys.executable, str(LAUNCHER), "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as launcher:
        try:
            assert launcher.stdout is not None
            announced = json.loads(launcher.stdout.readline())
            assert announced["bootstrap_servers"].startswith("127.0.0.1:")
            assert announced["pid"] in processes_of(data_dir)
            for one in by:
                launcher.send_signal(one)
            assert launcher.wait(20) == 0
            assert launcher.stdout.read() == ""
        finally:
            launcher.kill()  # one that hangs is a failure, and no standstill
    assert gone(data_dir)


def test_a_second_one_on_the_same_folder_is_refused(server_dir: Path) -> None:
    data_dir = server_dir / "kafka"
    with start_kafka(data_dir=data_dir) as first:
        with pytest.raises(KafkaLocalError, match="another Kafka runs in"):
            start_kafka(data_dir=data_dir)
        assert first.running


def test_an_interrupted_formatting_is_no_trap(server_dir: Path) -> None:
    data_dir = server_dir / "kafka"
    command = [sys.executable, str(LAUNCHER), "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as launcher:
        try:
            wait_until((data_dir / "format.properties").exists, seconds=30)
        finally:
            launcher.kill()
    wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)
    with start_kafka(data_dir=data_dir) as kafka:
        assert kafka.running


def test_a_bad_setting_is_an_error_that_names_the_log(server_dir: Path) -> None:
    with pytest.raises(KafkaLocalError, match=r"kafka\.log"):
        start_kafka(data_dir=server_dir / "kafka", properties={"num.io.threads": "none"})


# ---------------------------------------------------------------------------------------------------------------------------
# The jars, from a repository of our own on loopback that serves what the real cache holds.


class Repository:
    """Serves the jars of a folder in a Maven repository's layout; can be slow, or wrong."""

    def __init__(self, jars: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.answering = threading.Event()
        self.answering.set()
        self.damaged: set[str] = set()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if not name.endswith(".jar"):  # .sha1 and the like
                    self.send_error(404)
                    return
                repository.asked[name] += 1
                content = (jars / name).read_bytes()
                if name in repository.damaged:
                    content = b"!" + content[1:]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content[: len(content) // 2])
                    repository.answering.wait(60)
                    self.wfile.write(content[len(content) // 2 :])
                except OSError:  # the launcher was killed
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def real_cache() -> Path:
    """The machine's own cache, filled: nothing is fetched from afar twice."""
    subprocess.run([sys.executable, str(LAUNCHER), "--fetch-only"], check=True)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "takedown" / "kafka-4.3.1"


@pytest.fixture
def repository(real_cache: Path) -> Iterator[Repository]:
    repository = Repository(real_cache)
    yield repository
    repository.answering.set()
    repository.server.shutdown()
    repository.server.server_close()


@contextmanager
def fetching(repository: Repository, folder: Path) -> Iterator[subprocess.Popen[str]]:
    settings = folder / "jgo.conf"
    settings.write_text(f"[repositories]\nhere = {repository.url}\n")
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "JGO_CONFIG_FILE": str(settings)}
    command = [sys.executable, str(LAUNCHER), "--fetch-only"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as launcher:
        try:
            yield launcher
        finally:
            launcher.kill()


def fetch(repository: Repository, folder: Path) -> tuple[int, str]:
    with fetching(repository, folder) as launcher:
        messages = launcher.communicate(timeout=120)[1]
        return launcher.returncode, messages


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}


def test_a_download_killed_in_the_middle_is_no_trap(repository: Repository, real_cache: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "takedown" / "kafka-4.3.1"
    with fetching(repository, tmp_path) as launcher:
        wait_until(lambda: len(digests(cache)) >= 5, seconds=30)
        repository.answering.clear()  # every download now stands still half-way
        asked = repository.asked.total()
        wait_until(lambda: list(cache.glob(".incoming-*/**/*.jar")), seconds=30)
        launcher.kill()
        launcher.wait()
    kept = digests(cache)
    assert 5 <= len(kept) <= asked
    repository.answering.set()
    repository.asked.clear()
    assert fetch(repository, tmp_path)[0] == 0
    assert digests(cache) == digests(real_cache)
    assert not kept.keys() & repository.asked.keys()  # what was whole is not fetched again
    assert not list(cache.glob(".incoming-*"))


def test_damaged_and_missing_jars_are_repaired(repository: Repository, real_cache: Path, tmp_path: Path) -> None:
    assert fetch(repository, tmp_path)[0] == 0
    cache = tmp_path / "cache" / "takedown" / "kafka-4.3.1"
    first, second, *_ = sorted(cache.glob("*.jar"))
    first.write_bytes(first.read_bytes()[:-100])
    second.unlink()
    repository.asked.clear()
    assert fetch(repository, tmp_path)[0] == 0
    assert repository.asked == {first.name: 1, second.name: 1}
    assert digests(cache) == digests(real_cache)


def test_a_jar_that_is_not_the_locked_one_is_never_used(repository: Repository, tmp_path: Path) -> None:
    repository.damaged.add("kafka_2.13-4.3.1.jar")
    code, messages = fetch(repository, tmp_path)
    assert code == 1
    assert messages.splitlines()[-1].startswith(
        "kafka-local: kafka_2.13-4.3.1.jar: what was received does not have the SHA-256"
    )
    assert not (tmp_path / "cache" / "takedown" / "kafka-4.3.1" / "kafka_2.13-4.3.1.jar").exists()


def test_launchers_at_the_same_time_fetch_once(repository: Repository, real_cache: Path, tmp_path: Path) -> None:
    with fetching(repository, tmp_path) as first, fetching(repository, tmp_path) as second:
        for launcher in (first, second):
            launcher.communicate(timeout=120)
            assert launcher.returncode == 0
    assert set(repository.asked.values()) == {1}
    assert digests(tmp_path / "cache" / "takedown" / "kafka-4.3.1") == digests(real_cache)


def test_the_lock_names_no_registry() -> None:
    assert "http" not in LAUNCHER.with_name("kafka.lock.toml").read_text()
