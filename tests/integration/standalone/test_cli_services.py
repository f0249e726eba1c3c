"""Services on their own: they wait for nobody's preparations but say what is missing; and what the death of a worker does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from services.standalone import assembly, serve
from shared.errors import NotPrepared
from shared.process.settings import Settings
from tests.e2e.processes import free_port
from tests.program import call, running, succeed

pytestmark = pytest.mark.timeout(180)
ROOT_KEY = "cd" * 32


def settings_of(database: str, folder: Path) -> dict[str, str]:
    return {
        "TAKEDOWN_DATABASE": database,
        "TAKEDOWN_DATA_DIR": str(folder),
        "TAKEDOWN_ROOT_KEY": ROOT_KEY,
        "TAKEDOWN_LOG_FORMAT": "json",
    }


def test_single_services_wait_for_migrations_and_topics(fresh_database: str, tmp_path: Path) -> None:
    settings = settings_of(fresh_database, tmp_path)
    for name in ("intake", "matcher", "notifier"):
        unprepared = call(name, **settings, TAKEDOWN_PORT=str(free_port()))
        assert unprepared.code == 2
        assert "takedown migrate" in unprepared.complaint
    assert "Applied intake/0001_outbox.sql." in succeed("migrate", **settings)
    without_topics = call("intake", **settings, TAKEDOWN_PORT=str(free_port()))
    assert without_topics.code == 2
    assert "takedown.content" in without_topics.complaint
    assert "Created takedown.content." in succeed("topics", "ensure", **settings)
    with (
        running(tmp_path, "intake", port=free_port(), **settings) as intake,
        running(tmp_path, "matcher", port=free_port(), **settings) as matcher,
        running(tmp_path, "notifier", port=free_port(), **settings) as notifier,
    ):
        for program in (intake, matcher, notifier):
            program.wait_ready()
            assert httpx.get(f"{program.base_url}/health/live").json() == {"status": "live"}
            assert "# TYPE takedown_" in httpx.get(f"{program.base_url}/metrics").text
        assert httpx.get(f"{intake.base_url}/v1/claims").status_code == 401
        assert httpx.get(f"{intake.base_url}/v1/takedowns").status_code == 404
        assert httpx.get(f"{notifier.base_url}/v1/takedowns").status_code == 401
        for program in (intake, matcher, notifier):
            assert program.end() == 0, program.err
            assert json.loads(program.err.splitlines()[-1])["event"] == "service.stopped"


def test_on_kafka_the_matcher_needs_no_database(kafka_bootstrap: str, tmp_path: Path) -> None:
    settings = {
        "TAKEDOWN_LOG": "kafka",
        "TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "TAKEDOWN_DATA_DIR": str(tmp_path),
        "TAKEDOWN_ROOT_KEY": ROOT_KEY,
        "TAKEDOWN_LOG_FORMAT": "json",
    }
    succeed("topics", "ensure", **settings)
    with running(tmp_path, "matcher", port=free_port(), **settings) as matcher:
        matcher.wait_ready()
        assert matcher.end() == 0, matcher.err


class Worker:
    """A service whose one worker ends when told to."""

    name = "worker"

    def __init__(self, error: Exception | None) -> None:
        self.end = asyncio.Event()
        self._error = error

    def routers(self) -> Sequence[APIRouter]:
        return ()

    def provides(self) -> Sequence[object]:
        return ()

    async def run(self) -> None:
        await self.end.wait()
        if self._error is not None:
            raise self._error

    def not_ready(self) -> Sequence[str]:
        return ()


@pytest.mark.parametrize("error", [ValueError("https://secret.example/"), None])
async def test_a_worker_that_ends_ends_the_process(
    error: Exception | None, fresh_database: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(database=fresh_database, data_dir=tmp_path, root_key=ROOT_KEY)
    async with assembly.open_runtime(settings, fresh_database, create_root_key=False) as runtime:
        await assembly.prepare(settings, runtime.database, runtime.log)
        held = serve.listen("127.0.0.1", 0)
        base = f"http://127.0.0.1:{held.getsockname()[1]}"
        worker, other = Worker(error), Worker(None)

        async def serve_until_it_ends() -> None:
            async with serve.running(runtime, [worker, other], listening=held):
                async with httpx.AsyncClient() as client:
                    assert (await client.get(f"{base}/health/ready")).status_code == 200
                worker.end.set()
                await asyncio.Event().wait()

        with pytest.raises(serve.WorkerDied):
            await serve_until_it_ends()
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"{base}/health/live")
    assert "secret.example" not in capfd.readouterr().err


async def test_what_is_not_prepared_is_said(fresh_database: str, tmp_path: Path) -> None:
    settings = Settings(database=fresh_database, data_dir=tmp_path, root_key=ROOT_KEY)
    async with assembly.open_runtime(settings, fresh_database, create_root_key=False) as runtime:
        with pytest.raises(NotPrepared, match=r"notifier/0001"):
            await assembly.require_prepared(settings, runtime.database, runtime.log)
        await assembly.prepare(settings, runtime.database, runtime.log)
        await assembly.require_prepared(settings, runtime.database, runtime.log)
