"""The program as a person calls it, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

TAKEDOWN = Path(sys.executable).with_name("takedown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr. AssertionError when there is more, or a traceback."""
        lines = [line for line in self.err.splitlines() if line]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("takedown: "), self.err
        return lines[0]


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAKEDOWN_")}
    return {**inherited, "TERM": "dumb", "COLUMNS": "200", **settings}


CALL_TIMEOUT_SECONDS = 90


def call(*arguments: str, stdin: str = "", **settings: str) -> Ended:
    """One call of the program to its end."""
    done = subprocess.run(
        [TAKEDOWN, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        input=stdin,
        timeout=CALL_TIMEOUT_SECONDS,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def succeed(*arguments: str, stdin: str = "", **settings: str) -> str:
    """The output of a call that must succeed."""
    ended = call(*arguments, stdin=stdin, **settings)
    assert ended.code == 0, f"takedown {' '.join(arguments)}: {ended.code}\n{ended.out}\n{ended.err}"
    return ended.out


class Running:
    """A program that runs for long. Its output goes to files."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, name: str, base_url: str) -> None:
        self.process = process
        self.base_url = base_url
        self._out = folder / f"{name}.out"
        self._err = folder / f"{name}.err"

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_ready(self, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self.out}\n{self.err}"
            try:
                if httpx.get(f"{self.base_url}/health/ready", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, f"not ready\n{self.out}\n{self.err}"
            time.sleep(0.1)

    def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 30) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def running(folder: Path, *arguments: str, port: int, **settings: str) -> Iterator[Running]:
    """The program, started; terminated at the end unless it has ended."""
    name = "-".join(arguments)
    with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.err").open("wb") as err:
        process = subprocess.Popen(
            [TAKEDOWN, *arguments],
            env=environment(TAKEDOWN_PORT=str(port), **settings),
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield Running(process, folder, name, f"http://127.0.0.1:{port}")
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
