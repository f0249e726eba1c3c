"""Whole processes of the program, started, killed and started again as an operating system would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

PROGRAM = Path(sys.executable).with_name("takedown")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.05) -> None:
    """Ask until true; AssertionError at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for: {what}"
        time.sleep(every)


class Fleet:
    """The running processes, by command (`intake`, `matcher`, `notifier`, `serve`). Their output goes to files in `logs`."""

    def __init__(self, environment: Mapping[str, str], *, logs: Path, ports: Mapping[str, int]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAKEDOWN_")}
        self.environment = {**inherited, **environment}
        self.logs = logs
        self.ports = dict(ports)
        self.kills: dict[str, int] = dict.fromkeys(ports, 0)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def run(self, *arguments: str, **environment: str) -> str:
        """One call of the program to its end; its output. AssertionError unless it exits 0."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"takedown {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, name: str) -> None:
        with (self.logs / f"{name}.log").open("ab") as output:
            self._running[name] = subprocess.Popen(
                [PROGRAM, name],
                env={**self.environment, "TAKEDOWN_PORT": str(self.ports[name])},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """kill -9, at once."""
        process = self._running[name]
        assert process.poll() is None, f"{name} had ended by itself:\n{self.last_words(name)}"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        self.kills[name] += 1

    def last_words(self, name: str) -> str:
        """The end of its output."""
        return (self.logs / f"{name}.log").read_text(errors="replace")[-3000:]

    def ready(self, name: str) -> bool:
        assert self._running[name].poll() is None, f"{name} ended by itself:\n{self.last_words(name)}"
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[name]}/health/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_ready(self, *names: str, seconds: float = 90) -> None:
        for name in names or self.ports:
            wait_for(lambda name=name: self.ready(name), seconds=seconds, what=f"{name} ready", every=0.1)  # type: ignore[misc]  # mypy cannot type a lambda's default


class Client:
    """An HTTP client that resends with the same Idempotency-Key until it is answered, as ours do."""

    def __init__(self, base: str, key: str, *, patience_seconds: float = 120) -> None:
        self._http = httpx.Client(base_url=base, headers={"authorization": f"Bearer {key}"}, timeout=20)
        self.key = key
        self._patience_seconds = patience_seconds
        self.resent = 0

    def post(self, path: str, body: Any) -> Any:
        """The answer's JSON. AssertionError on a 4xx, or when nobody answered in time."""
        headers = {"idempotency-key": str(uuid4())}
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                answer = self._http.post(path, json=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                assert answer.status_code < 400, f"{path}: {answer.status_code} {answer.text}"
                return answer.json() if answer.content else None
            assert time.monotonic() < deadline, f"{path}: no answer in {self._patience_seconds:.0f} s"
            self.resent += 1
            time.sleep(0.2)

    def get(self, path: str, **query: Any) -> Any:
        answer = self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every item over all pages."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, **query, limit=200, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page.get("next")
            if not cursor:
                return items
