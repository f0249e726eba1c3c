"""What a process has no use for is not loaded: a start is mostly imports."""

from __future__ import annotations

import subprocess
import sys

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
