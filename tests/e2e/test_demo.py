"""The demo as a person runs it: on a terminal, where it stays up until interrupted, and on Kafka without one, where it ends by itself."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures_servers import processes_of
from tests.program import TAKEDOWN, environment, succeed

pytestmark = pytest.mark.timeout(400)

SCENARIOS = (
    *("cooperative", "mirrored", "slow", "silent", "flaky", "liar", "soft-404", "swap", "uploads-again"),
    *(
        "redirects-inward",
        "answers-410",
        "page",
        "mailbox-only",
        "hostile",
        "lying-crawler",
        "withdrawn",
        "seen-before",
        "shown-with-410",
        "lazy-page",
        "login-wall",
        "firewall",
        "script-removed",
        "script-moved",
        "bordered",
        "collage",
        "put-back",
    ),
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_READY_SECONDS = re.compile(r"(\d+) of (\d+) scenarios as expected, (\d+) s after the services were ready")


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the demo's temporary one, so that what it leaves behind is seen. Short: a socket's path is."""
    with tempfile.TemporaryDirectory(prefix="tkd-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path
        assert not list(path.glob("takedown-demo-*")), "the demo left its folder behind"
        assert not processes_of(path), "the demo left processes behind"


def check_table(text: str) -> None:
    found = _READY_SECONDS.search(text)
    assert found is not None, text[-4000:]
    assert found[1] == found[2] == str(len(SCENARIOS)), text[-6000:]
    assert int(found[3]) < 90
    shown = text[: found.start()]
    table = shown[shown.rindex("expected") :]
    for name in SCENARIOS:
        assert re.search(rf"✓\s+{re.escape(name)}\b", table), f"{name}\n{table}"
    assert "✗" not in table


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, *arguments: str, settings: dict[str, str]) -> None:
        self._shown = b""
        self._own, other = pty.openpty()
        self.process = subprocess.Popen(
            arguments,
            env={**environment(**settings), "TERM": "xterm-256color", "COLUMNS": "180", "LINES": "50"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)

    @property
    def text(self) -> str:
        """Decoded whole: what is read at once may end within a character, or within an escape sequence."""
        return _ESCAPES.sub("", self._shown.decode(errors="replace"))

    def read_until(self, text: str, *, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in\n{self.text[-4000:]}"
            if select.select([self._own], [], [], 0.5)[0]:
                try:
                    self._shown += os.read(self._own, 65536)
                except OSError:  # it has ended
                    raise AssertionError(f"ended with {self.process.wait(10)}\n{self.text[-4000:]}") from None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(40)
        os.close(self._own)


def test_on_a_terminal_it_stays_up_until_interrupted(temporary: Path) -> None:
    terminal = Terminal(str(TAKEDOWN), "demo", settings={"TMPDIR": str(temporary)})
    try:
        terminal.read_until("Ctrl-C ends it.", seconds=240)
        check_table(terminal.text)
        assert "clock_scale" in terminal.text
        assert "We may connect to these addresses on this machine" in terminal.text
        shown = re.findall(r"TAKEDOWN_NOTIFIER_URL=(\S+) TAKEDOWN_INTAKE_URL=\S+ TAKEDOWN_KEY=(tdk_\S+)", terminal.text)
        (url, operations), _, (_, helpline) = shown
        client = {"TAKEDOWN_NOTIFIER_URL": url, "TAKEDOWN_INTAKE_URL": url, "TAKEDOWN_KEY": operations}
        assert "removed" in succeed("watch", "--once", **client)
        case = succeed("case", "DEMO-00001", **{**client, "TAKEDOWN_KEY": helpline})
        assert case.count("cooperative.test/m/") == 3
        assert succeed("tasks", "list", "--json", **client).count('"kind": "first_check"') == 3
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(40) == 0
    finally:
        terminal.close()


def test_on_kafka_without_a_terminal_or_a_browser_it_ends_by_itself(temporary: Path) -> None:
    done = subprocess.run(
        [TAKEDOWN, "demo", "--log", "kafka"],
        env=environment(TMPDIR=str(temporary), TAKEDOWN_BROWSER="off"),
        capture_output=True,
        text=True,
        timeout=350,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    check_table(done.stdout)
    assert "Event log: kafka" in done.stdout
    assert "No browser looks" in done.stdout
