"""Apache Kafka's jars: fetched once with ``jgo``, pinned by SHA-256 in ``kafka.lock.toml``, kept in a cache.

``ensure_jars`` trusts nothing it finds: each jar in the cache is hashed at each start (about 0.3 s in all). A download goes to a
folder of its own and is renamed into place only when its hash is right, so neither an interrupted download nor a damaged
file is a trap; launchers at the same time wait for one another by a file lock.

``python deploy/kafka-local/kafka_jars.py VERSION`` resolves the lock anew and prints it (no registry's address is in it: ``jgo`` asks
the repositories of its own settings, so a mirror is set there).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOCK_FILE = Path(__file__).with_name("kafka.lock.toml")
DOWNLOADS_AT_ONCE = 4
ATTEMPTS = 4
TIMEOUT_SECONDS = 60
TELL_SECONDS = 2.0
"""Of one read from the repository, not of a whole jar."""

Progress = Callable[[str], None]


class JarError(Exception):
    """A jar could not be had; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Jar:
    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK_FILE) -> tuple[str, tuple[Jar, ...]]:
    """Kafka's version and its jars, in class path order."""
    content = tomllib.loads(path.read_text())
    return content["kafka_version"], tuple(Jar(**entry) for entry in content["jar"])


def default_cache(kafka_version: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "takedown" / f"kafka-{kafka_version}"


def ensure_jars(jars: tuple[Jar, ...], cache: Path, progress: Progress) -> tuple[Path, ...]:
    """The paths of all jars, each checked; what is missing or damaged is fetched. Raises JarError."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JarError(f"The cache {cache} can not be made: {error.strerror}") from None
    with _locked(cache / ".lock", progress):
        for left_over in cache.glob(".incoming-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        wanted = [jar for jar in jars if not _is_whole(cache / jar.file_name, jar)]
        if wanted:
            _fetch_all(wanted, cache, progress)
    return tuple(cache / jar.file_name for jar in jars)


def _is_whole(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch_all(jars: list[Jar], cache: Path, progress: Progress) -> None:
    total = sum(jar.size_bytes for jar in jars) / 1e6
    progress(f"fetching {len(jars)} jars of Apache Kafka, {total:.0f} MB, once, into {cache}")
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=cache))
    done, told_at = 0.0, 0.0
    pool = ThreadPoolExecutor(DOWNLOADS_AT_ONCE)
    try:
        tasks = {pool.submit(_fetch, jar, cache, incoming): jar for jar in jars}
        for number, task in enumerate(as_completed(tasks), start=1):
            task.result()
            done += tasks[task].size_bytes / 1e6
            if number == len(jars) or time.monotonic() > told_at + TELL_SECONDS:
                told_at = time.monotonic()
                progress(f"{number}/{len(jars)} jars, {done:.0f}/{total:.0f} MB")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(incoming, ignore_errors=True)


def _fetch(jar: Jar, cache: Path, incoming: Path) -> None:
    import requests  # what jgo fetches with
    from jgo.maven import MavenContext, PythonResolver

    reason = ""
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            time.sleep(attempt)
        resolver = PythonResolver()
        context = MavenContext(
            resolver=resolver,
            repo_cache=incoming / f"{jar.file_name}-{attempt}",
            remote_repos=_repositories(),
            timeout=TIMEOUT_SECONDS,
        )
        try:
            path = resolver.download(context.project(jar.group, jar.artifact).at_version(jar.version).artifact())
        except (OSError, RuntimeError, requests.RequestException) as error:
            reason = type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
            continue
        if path is not None and _is_whole(path, jar):
            path.chmod(0o644)
            path.replace(cache / jar.file_name)
            return
        reason = "what was received does not have the SHA-256 of the lock"
    raise JarError(f"{jar.file_name}: {reason} ({ATTEMPTS} attempts)")


def _repositories() -> dict[str, str] | None:
    """The repositories of jgo's own settings file; ``None``: jgo's default."""
    from jgo.config import GlobalSettings

    return GlobalSettings.load().repositories or None


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another launcher fetches the jars; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _print_new_lock(kafka_version: str) -> None:
    from jgo.maven import MavenContext, PythonResolver

    with tempfile.TemporaryDirectory() as folder:
        resolver = PythonResolver()
        context = MavenContext(
            resolver=resolver, repo_cache=Path(folder), remote_repos=_repositories(), timeout=TIMEOUT_SECONDS
        )
        inputs, others = resolver.resolve([context.create_dependency(f"org.apache.kafka:kafka_2.13:{kafka_version}")])
        # Kafka's own distribution adds what binds its logging to log4j; as a dependency it is not declared, and no log comes.
        log4j = next(dependency for dependency in others if dependency.artifactId == "log4j-core")
        binding = context.create_dependency(f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j.version}")
        others.append(binding)
        print("# Made by kafka_jars.py: org.apache.kafka:kafka_2.13 and all it needs at run time, in class path order;")
        print("# the last one binds its logging to log4j, as Kafka's own distribution does.")
        print(f'kafka_version = "{kafka_version}"')
        for dependency in [*inputs, *others]:
            content = dependency.artifact.resolve().read_bytes()
            print(
                f'\n[[jar]]\ngroup = "{dependency.groupId}"\nartifact = "{dependency.artifactId}"\n'
                f'version = "{dependency.version}"\nsize_bytes = {len(content)}\n'
                f'sha256 = "{hashlib.sha256(content).hexdigest()}"'
            )


if __name__ == "__main__":
    _print_new_lock(sys.argv[1])
