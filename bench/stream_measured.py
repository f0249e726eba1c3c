"""The processes that `bench.stream` measures, from outside: started, listened to and stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.stream_load import IN_A_RECORD
from shared.process.signals import InterruptibleQueue

ROOT = Path(__file__).resolve().parent.parent


class Measured:
    """A process of `bench.stream_process`, and what it says."""

    def __init__(
        self, bootstrap: str, mode: str, *, cpu: int | None, folder: Path, start: Mapping[int, int] | None
    ) -> None:
        spec = {
            "bootstrap": bootstrap,
            "mode": mode,
            "cpu": cpu,
            "every_seconds": 0.2,
            "in_a_record": IN_A_RECORD,
            "folder": str(folder),
            "start": start,
        }
        self.started_at = time.monotonic()
        self.said: InterruptibleQueue[dict[str, Any]] = InterruptibleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.stream_process", json.dumps(spec)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self.said.put(json.loads(line))

    def next(self) -> dict[str, Any]:
        return self.said.get(600)

    def stop(self) -> None:
        """In order, so that its files are as committed."""
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        finally:
            self._process.kill()


@contextmanager
def measured(
    bootstrap: str, mode: str, *, cpu: int | None, folder: Path, start: Mapping[int, int] | None = None
) -> Iterator[Measured]:
    process = Measured(bootstrap, mode, cpu=cpu, folder=folder, start=start)
    try:
        yield process
    finally:
        process.stop()


def floor(bootstrap: str, mode: str, *, cpu: int | None, folder: Path, start: Mapping[int, int]) -> float:
    """Sightings a second of processor time. `start`: from which offset of each partition."""
    with measured(bootstrap, mode, cpu=cpu, folder=folder, start=start) as process:
        began, ended = process.next(), process.next()
    return float(ended["handled"]) / (float(ended["cpu"]) - float(began["cpu"]))
