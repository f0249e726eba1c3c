"""What a process has no use for is not loaded: a start is mostly imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MATCHER = ("services.standalone.cli.main", "services.standalone.serve", "services.matcher.service")
OUTBOUND = {"aiohttp", "httpx", "PIL", "requests", "tldextract"}


@pytest.mark.parametrize(
    ("imported", "not_loaded"),
    [
        (("services.standalone.cli.main",), OUTBOUND | {"fastapi", "numpy", "psycopg", "uvicorn"}),
        (MATCHER, OUTBOUND | {"aiokafka", "aiosmtplib", "numba", "services.intake", "services.notifier"}),
        (("services.matcher.consumer.worker",), {"fastapi", "numba", "psycopg"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(imported: tuple[str, ...], not_loaded: set[str]) -> None:
    """numba comes with a register or a history that is large enough for an index."""
    program = f"import sys, {', '.join(imported)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not not_loaded & set(done.stdout.split())


SERVING = {"fastapi", "starlette", "uvicorn"}
CALLING = {"httpx", "httpcore", "aiohttp", "stamina"}
STORING = {"psycopg", "psycopg_pool", "prometheus_client"}
COMPUTING = {"numpy", "numba", "PIL", "tldextract", "jinja2", "aiosmtplib"}
LOADED_BY_NO_CLIENT = COMPUTING | {
    "aiokafka",
    "cryptography",
    "services.intake",
    "services.matcher",
    "services.notifier",
}
SETTINGS = {"pydantic_settings", "structlog", "ada_url", "ssl", "asyncio"}
NOBODY = "00000000-0000-4000-8000-000000000000"

_CALL = """
import contextlib, io, json, sys
from services.standalone.cli.main import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
    code = run({arguments!r})
print(json.dumps([code, said.getvalue(), sorted(sys.modules)]))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "not_loaded"),
    [
        *(
            (arguments, 0, SERVING | CALLING | STORING | LOADED_BY_NO_CLIENT | SETTINGS)
            for arguments in ("--help", "--version", "keys create --help", "tasks resolve --help", "serve --help")
        ),
        *(
            (arguments, 1, SERVING | STORING | LOADED_BY_NO_CLIENT)
            for arguments in (
                *("hosts list", "hosts hold a.example", "outbound", "case AB-1", "tasks list", "negative-list list"),
                f"content suspend {NOBODY}",
            )
        ),
        ("watch --once", 1, SERVING | STORING | LOADED_BY_NO_CLIENT),
        *(
            (arguments, 1, SERVING | CALLING | LOADED_BY_NO_CLIENT - {"services.intake"})
            for arguments in (
                *("keys list", f"keys revoke {NOBODY}", "keys create --role reader --person p --organisation o"),
                *("migrate", "topics ensure", "dead-letters list", f"dead-letters show {NOBODY}"),
            )
        ),
        ("matcher", 2, CALLING | COMPUTING | {"aiokafka", "services.intake", "services.notifier"}),
    ],
)
def test_no_command_loads_what_it_does_not_use(
    arguments: str, code: int, not_loaded: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is called where nothing answers: it has loaded all it needs to ask."""
    for name in ("INTAKE_URL", "NOTIFIER_URL"):
        monkeypatch.setenv(f"TAKEDOWN_{name}", "http://127.0.0.1:9")
    monkeypatch.setenv("TAKEDOWN_KEY", "tdk_x")
    monkeypatch.setenv("TAKEDOWN_DATA_DIR", str(tmp_path))
    if arguments != "matcher":  # it would wait for its database
        monkeypatch.setenv("TAKEDOWN_DATABASE", "postgresql://127.0.0.1:9/x")
    program = _CALL.format(arguments=arguments.split())
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    ended, said, loaded = json.loads(done.stdout)
    assert ended == code, said
    assert sorted(not_loaded & set(loaded)) == []
