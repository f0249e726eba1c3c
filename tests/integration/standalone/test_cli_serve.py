"""`serve` as a process, and the commands that talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from shared.contracts.topics import DECISIONS
from shared.db.embedded.server import conninfo_if_running
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.port import OutgoingRecord
from shared.log.postgres.log import PostgresLog
from tests.e2e.processes import free_port, wait_for
from tests.fixtures_servers import open_temporary_dir, processes_of
from tests.program import Running, call, running, succeed

pytestmark = pytest.mark.timeout(180)

SECRET = "whsec_" + "QUJD" * 10
CLAIM = {
    "case_ref": "CASE-0001",
    "fingerprints": [{"algorithm": "sha256", "value": "5e" * 32}],
    "declaration": {
        "intimate": True,
        "non_consensual": True,
        "true_and_good_faith": True,
        "depicts_minor": "no",
        "synthetic": False,
        "declared_as": "subject",
        "authority_recorded": True,
        "declared_at": "2026-01-01T00:00:00Z",
        "text_version": "1",
    },
    "assurance": "viewed",
}


class Served:
    """A `serve`, the settings its clients need, and a key of each role."""

    def __init__(self, program: Running, settings: dict[str, str], folder: Path) -> None:
        self.program = program
        self.folder = folder
        base = program.base_url
        self.settings = {**settings, "TAKEDOWN_INTAKE_URL": base, "TAKEDOWN_NOTIFIER_URL": base}
        self.keys = {role: self._key(role) for role in ("operations", "helpline", "crawler", "reader")}

    def _key(self, role: str, person: str = "p-1") -> str:
        arguments = ("--role", role, "--person", person, "--organisation", "o-1", "--json")
        key: str = json.loads(succeed("keys", "create", *arguments, **self.settings))["key"]
        return key

    def as_(self, role: str) -> dict[str, str]:
        return {**self.settings, "TAKEDOWN_KEY": self.keys[role]}


@pytest.fixture(scope="module")
def receiver() -> Iterator[HTTPServer]:
    """A host's endpoint that accepts everything at `/ok` and nothing elsewhere."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)


@pytest.fixture(scope="module")
def served(receiver: HTTPServer) -> Iterator[Served]:
    with open_temporary_dir() as folder:
        settings = {
            "TAKEDOWN_DATA_DIR": str(folder / "data"),
            "TAKEDOWN_LOG_FORMAT": "json",
            "TAKEDOWN_PUBLIC_URL": "http://127.0.0.1:1",
            "TAKEDOWN_OUTBOUND_ALLOW": json.dumps([f"127.0.0.1:{receiver.server_port}"]),
        }
        with running(folder, "serve", port=free_port(), **settings) as program:
            program.wait_ready()
            yield Served(program, settings, folder)
            assert program.end() == 0, program.err
        assert "Traceback" not in program.err
        assert not processes_of(folder)


def test_the_first_start_makes_a_root_key_and_says_how_to_make_keys(served: Served) -> None:
    root_key = served.folder / "data" / "root.key"
    assert root_key.stat().st_mode & 0o777 == 0o600
    assert "takedown keys create" in served.program.out


def test_health_and_metrics(served: Served) -> None:
    base = served.program.base_url
    assert httpx.get(f"{base}/health/live").json() == {"status": "live"}
    assert "takedown_outbox_pending" in httpx.get(f"{base}/metrics").text


def test_outbound_is_off_at_first_and_can_be_switched(served: Served) -> None:
    operations = served.as_("operations")
    assert succeed("outbound", **operations).strip() == "Outbound is off: no message leaves."
    assert succeed("outbound", "on", **operations).strip() == "Outbound is on."
    assert succeed("outbound", "off", **operations).strip() == "Outbound is off: no message leaves."


def test_the_directory(served: Served, receiver: HTTPServer) -> None:
    operations = served.as_("operations")
    base = f"http://127.0.0.1:{receiver.server_port}"
    csv = (
        "organisation,domains,webhook_url,webhook_secrets,posture\n"
        f"good-host,good.example,{base}/ok,{SECRET},normal\n"
        f"bad-host,bad.example,{base}/bad,{SECRET},normal\n"
    )
    assert "2 added" in succeed("hosts", "import", "-", stdin=csv, **operations)
    assert "2 unchanged" in succeed("hosts", "import", "-", stdin=csv, **operations)
    listed = succeed("hosts", "list", **operations)
    assert "good.example" in listed
    assert SECRET not in listed
    succeed("outbound", "on", **operations)
    assert succeed("hosts", "test", "good-host", **operations).strip() == "The test message was delivered by webhook."
    refused = call("hosts", "test", "bad-host", **operations)
    assert refused.code == 1
    assert "500" in refused.complaint
    succeed("hosts", "hold", "good.example", **operations)
    shown = next(line for line in succeed("hosts", "list", **operations).splitlines() if "good-host" in line)
    assert shown.rstrip().endswith("yes")
    succeed("hosts", "hold", "elsewhere.example", **operations)
    assert succeed("hosts", "list", **operations).splitlines()[-1] == "On hold: elsewhere.example good.example"
    for domain in ("good.example", "elsewhere.example"):
        succeed("hosts", "release", domain, **operations)
    assert "On hold" not in succeed("hosts", "list", **operations)
    assert call("hosts", "release", "good.example", **operations).code == 1


def test_a_bad_directory_file_is_one_line_and_imports_nothing(served: Served) -> None:
    bad = "organisation,domains,rung\nOops!,x.example,boss\n"
    refused = call("hosts", "import", "-", stdin=bad, **served.as_("operations"))
    assert refused.code == 1
    assert "2 errors" in refused.complaint
    assert "Line 2, organisation: " in refused.complaint
    assert "Line 2, rung: " in refused.complaint
    missing = call("hosts", "import", str(served.folder / "nowhere.csv"), **served.as_("operations"))
    assert missing.code == 2
    assert "nowhere.csv" in missing.complaint


def test_a_case_and_its_content(served: Served) -> None:
    base, helpline = served.program.base_url, served.as_("helpline")
    headers = {"authorization": f"Bearer {served.keys['helpline']}", "idempotency-key": "case-1"}
    claim = httpx.post(f"{base}/v1/claims", json=CLAIM, headers=headers).json()
    second = {"authorization": f"Bearer {served._key('helpline', 'p-2')}"}
    confirmed = httpx.post(
        f"{base}/v1/claims/{claim['claim_id']}/confirmation", json={"assurance": "viewed"}, headers=second
    )
    assert confirmed.status_code == 200, confirmed.text
    shown = succeed("case", "CASE-0001", **helpline)
    assert claim["claim_id"] in shown
    assert "No copy has been found so far." in shown
    assert json.loads(succeed("case", "CASE-0001", "--json", **helpline))["takedowns"] == []
    report = {"url": "https://nowhere.invalid/a.jpg", "case_ref": "CASE-0001"}
    assert httpx.post(f"{base}/v1/reports", json=report, headers=second).status_code == 202
    shown = succeed("case", "CASE-0001", **helpline)
    assert shown.startswith("As of ")
    assert report["url"] in shown
    assert call("case", "CASE-9999", **helpline).code == 1
    succeed("content", "suspend", claim["content_id"], **helpline)
    succeed("content", "resume", claim["content_id"], **helpline)


def test_the_negative_list(served: Served) -> None:
    first = served.as_("operations")
    second = {**first, "TAKEDOWN_KEY": served._key("operations", "p-2")}
    value = "0f" * 32
    added = succeed("negative-list", "add", "pdq", "-", "--reason", "a placeholder", stdin=value + "\n", **first)
    entry_id = added.split()[0]
    succeed("negative-list", "confirm", entry_id, **second)
    shown = succeed("negative-list", "list", "--json", **first)
    assert value not in shown
    entry = json.loads(shown)
    assert (entry["entry_id"], entry["reason"], entry["confirmed_by"]) == (entry_id, "a placeholder", "p-2")
    succeed("negative-list", "remove", entry_id, **first)


def test_tasks_and_the_table(served: Served) -> None:
    assert succeed("tasks", "list", **served.as_("reader")).strip() == "Nothing is waiting for a person."
    assert "tasks 0" in succeed("watch", "--once", **served.as_("operations"))
    assert "tasks 0" in succeed("watch", "--once", **served.as_("reader"))
    nothing = call("tasks", "resolve", "0" * 32, "dismiss", "--reason", "test", **served.as_("operations"))
    assert nothing.code == 1
    assert "404" in nothing.complaint


def test_a_key_of_another_role_and_a_wrong_key_are_one_line(served: Served) -> None:
    assert "403" in call("hosts", "list", **served.as_("crawler")).complaint
    wrong = call("tasks", "list", **{**served.settings, "TAKEDOWN_KEY": "tdk_wrong"})
    assert wrong.code == 1
    assert "401" in wrong.complaint


def test_a_revoked_key_is_refused_at_once(served: Served) -> None:
    key = served._key("reader", "p-9")
    settings = {**served.settings, "TAKEDOWN_KEY": key}
    succeed("tasks", "list", **settings)
    keys = [json.loads(line) for line in succeed("keys", "list", "--json", **served.settings).splitlines()]
    key_id = next(one["key_id"] for one in keys if one["person_id"] == "p-9")
    succeed("keys", "revoke", key_id, **served.settings)
    assert "401" in call("tasks", "list", **settings).complaint


def test_migrations_topics_and_dead_letters_while_it_serves(served: Served) -> None:
    assert succeed("migrate", **served.settings).strip() == "The database is up to date already."
    assert succeed("topics", "ensure", **served.settings).strip() == "All 8 topics are in place."
    assert succeed("dead-letters", "list", **served.settings).strip() == "There are no dead letters."
    unknown = call("dead-letters", "show", "0" * 32, **served.settings)
    assert unknown.code == 1
    assert "no dead letter with this id" in unknown.complaint


async def test_a_poison_record_becomes_a_dead_letter_and_can_be_replayed(served: Served) -> None:
    conninfo = conninfo_if_running(served.folder / "data" / "postgres")
    assert conninfo is not None
    async with Database(conninfo) as database:
        log = PostgresLog(database, Wakeups(database))
        async with log.publisher() as publisher:
            await publisher.publish([OutgoingRecord(topic=DECISIONS.name, key=b"k", value=b"secret words")])
        await log.close()

    def letters() -> list[dict[str, str]]:
        listed = succeed("dead-letters", "list", "--json", **served.settings)
        return [json.loads(line) for line in listed.splitlines() if line.startswith("{")]

    await asyncio.to_thread(
        wait_for, lambda: len(letters()) == 2, seconds=30, what="a letter of each group that reads it"
    )
    for letter in await asyncio.to_thread(letters):
        shown = await asyncio.to_thread(succeed, "dead-letters", "show", letter["dead_letter_id"], **served.settings)
        assert json.loads(shown)["topic"] == DECISIONS.name
        assert "secret" not in shown
        replayed = await asyncio.to_thread(call, "dead-letters", "replay", letter["dead_letter_id"], **served.settings)
        assert replayed.code == 1
        assert "failed" in replayed.complaint


def test_it_goes_on_after_its_postgresql_was_killed(served: Served) -> None:
    before = postmaster_of(served.folder)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: postmaster_of(served.folder) not in (0, before), seconds=20, what="another postmaster")
    operations = served.as_("operations")
    wait_for(lambda: call("outbound", **operations).code == 0, seconds=40, what="an answer")
    served.program.wait_ready(seconds=40)


def postmaster_of(folder: Path) -> int:
    """Its process id; 0 while there is none."""
    found = [pid for pid, command in processes_of(folder).items() if "/postgres -D " in command]
    return found[0] if found else 0


def test_a_second_serve_on_the_same_data_is_one_line(served: Served) -> None:
    second = call("serve", **served.settings, TAKEDOWN_PORT=str(free_port()), TAKEDOWN_LOG_LEVEL="error")
    assert second.code == 1
    assert "Another process" in second.complaint


def test_interrupted_it_ends_in_order_and_starts_again(server_dir: Path) -> None:
    settings = {"TAKEDOWN_DATA_DIR": str(server_dir / "data"), "TAKEDOWN_LOG_FORMAT": "json"}
    port = free_port()
    for number in (signal.SIGINT, signal.SIGTERM):
        with running(server_dir, "serve", port=port, **settings) as program:
            program.wait_ready()
            assert program.end(number) == 0, program.err
            events = [json.loads(line)["event"] for line in program.err.splitlines()]
            assert events[-1] == "serve.stopped"
            assert "worker.died" not in events
