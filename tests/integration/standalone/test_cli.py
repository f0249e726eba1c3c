"""The command line without services: help, exit codes, one line for what is wrong."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from tests.e2e.processes import free_port
from tests.program import call, succeed

ROOT = Path(__file__).parents[3]
ROOT_KEY = "ab" * 32


@pytest.fixture
def data_dir(tmp_path: Path) -> dict[str, str]:
    return {"TAKEDOWN_DATA_DIR": str(tmp_path)}


COMMANDS = (
    *("serve", "intake", "matcher", "notifier", "demo", "watch", "case", "content", "tasks", "outbound", "keys"),
    *("hosts", "topics", "migrate", "dead-letters", "openapi", "negative-list", "takedowns"),
)


def test_help_names_every_command() -> None:
    shown = succeed("--help")
    assert not [name for name in COMMANDS if f" {name} " not in shown]


def test_it_says_its_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", succeed("--version"))


def test_a_call_without_a_command_is_bad_usage() -> None:
    assert call().code == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nonsense",), "nonsense"),
        (("keys", "nonsense"), "nonsense"),
        (("keys", "create"), "--role"),
        (("keys", "create", "--role", "king", "--person", "p", "--organisation", "o"), "king"),
        (("keys", "create", "--role", "helpline", "--person", "P-1", "--organisation", "o"), "--person"),
        (("keys", "create", "--role", "helpline", "--person", "p-1 ", "--organisation", "o"), "--person"),
        (("keys", "create", "--role", "helpline", "--person", "host:a", "--organisation", "o"), "--person"),
        (("keys", "create", "--role", "helpline", "--person", "p", "--organisation", "o\n"), "--organisation"),
        (("keys", "revoke", "not-a-uuid"), "'KEY'"),
        (("watch", "--interval-seconds", "often"), "--interval-seconds"),
        (("watch", "--interval-seconds", "0"), "0.2 or more"),
        (("outbound", "sideways"), "sideways"),
        (("content", "suspend", "0" * 32, "--reason", "possible-minor"), "possible-minor"),
        (("serve", "--nonsense"), "--nonsense"),
    ],
)
def test_bad_usage_is_exit_2_in_one_line_that_names_it(arguments: tuple[str, ...], named: str) -> None:
    ended = call(*arguments)
    assert ended.code == 2
    assert named in ended.complaint
    assert "Value error" not in ended.complaint
    assert "Input should" not in ended.complaint
    assert "--help` to see" in ended.complaint


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("serve", "TAKEDOWN_NONSENSE", "1"),
        ("intake", "TAKEDOWN_LOG", "papyrus"),
        ("matcher", "TAKEDOWN_POLICY", "{"),
        ("notifier", "TAKEDOWN_PORT", "many"),
        ("migrate", "TAKEDOWN_NONSENSE", "1"),
        ("keys list", "TAKEDOWN_DATABSE", "x"),
        ("watch", "TAKEDOWN_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_setting_stops_the_start(command: str, name: str, value: str) -> None:
    ended = call(*command.split(), **{name: value})
    assert ended.code == 2
    assert name.removeprefix("TAKEDOWN_").lower() in ended.complaint.lower()


def test_a_bad_line_in_the_settings_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "takedown.toml"
    config.write_text("[policy]\nclock_scale = 0\n")
    ended = call("serve", TAKEDOWN_CONFIG=str(config))
    assert ended.code == 2
    assert f"{config}: policy.clock_scale" in ended.complaint


@pytest.mark.parametrize("command", ["intake", "notifier"])
def test_a_service_on_its_own_needs_a_database(command: str, data_dir: dict[str, str]) -> None:
    ended = call(command, **data_dir, TAKEDOWN_ROOT_KEY=ROOT_KEY)
    assert ended.code == 2
    assert "TAKEDOWN_DATABASE" in ended.complaint


def test_a_service_on_its_own_needs_the_root_key(data_dir: dict[str, str]) -> None:
    ended = call("intake", **data_dir, TAKEDOWN_DATABASE="host=127.0.0.1 port=1")
    assert ended.code == 2
    assert "TAKEDOWN_ROOT_KEY" in ended.complaint


def test_kafka_needs_an_address(data_dir: dict[str, str]) -> None:
    ended = call("topics", "ensure", **data_dir, TAKEDOWN_LOG="kafka")
    assert ended.code == 2
    assert "TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS" in ended.complaint


def test_a_kafka_out_of_reach_is_one_line_too(data_dir: dict[str, str]) -> None:
    nobody = {"TAKEDOWN_LOG": "kafka", "TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    ended = call("topics", "ensure", **data_dir, **nobody)
    assert ended.code == 1
    assert "The event log cannot be reached." in ended.complaint


@pytest.mark.parametrize("command", ["serve", "keys list"])
def test_a_data_directory_that_cannot_be_made_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = call(*command.split(), TAKEDOWN_DATA_DIR=str(tmp_path / "file" / "data"), TAKEDOWN_PORT="0")
    assert ended.code == 2
    assert "TAKEDOWN_DATA_DIR" in ended.complaint


def test_a_root_key_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.key").write_text(ROOT_KEY)
    (tmp_path / "root.key").chmod(0o644)
    ended = call(
        "intake", TAKEDOWN_DATA_DIR=str(tmp_path), TAKEDOWN_DATABASE="host=127.0.0.1 port=1", TAKEDOWN_PORT="0"
    )
    assert ended.code == 2
    assert "root.key" in ended.complaint


def test_a_client_without_a_key_is_bad_usage() -> None:
    ended = call("tasks", "list")
    assert ended.code == 2
    assert "TAKEDOWN_KEY" in ended.complaint


@pytest.mark.parametrize(
    "command", ["tasks list", "hosts list", "outbound", "case AB-1234", "watch --once", "content suspend " + "0" * 32]
)
def test_a_service_that_is_away_is_one_line(command: str) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    ended = call(*command.split(), TAKEDOWN_KEY="tdk_x", TAKEDOWN_NOTIFIER_URL=away, TAKEDOWN_INTAKE_URL=away)
    assert ended.code == 1
    assert away in ended.complaint


def test_a_database_that_is_away_is_one_line(data_dir: dict[str, str]) -> None:
    ended = call("keys", "list", **data_dir, TAKEDOWN_DATABASE=f"postgresql://u:secret@127.0.0.1:{free_port()}/x")
    assert ended.code == 1
    assert "Connection refused" in ended.complaint
    assert "secret" not in ended.complaint


def test_what_is_no_connection_string_is_not_quoted(data_dir: dict[str, str]) -> None:
    ended = call("keys", "list", **data_dir, TAKEDOWN_DATABASE="my secret")
    assert ended.code == 2
    assert "TAKEDOWN_DATABASE" in ended.complaint
    assert "secret" not in ended.complaint


def test_serve_says_when_its_address_is_taken(data_dir: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = call("serve", **data_dir, TAKEDOWN_PORT=port)
    assert ended.code == 1
    assert f"127.0.0.1:{port}" in ended.complaint


def test_the_api_is_described_without_a_database(tmp_path: Path, data_dir: dict[str, str]) -> None:
    whole = json.loads(succeed("openapi", **data_dir))
    assert {"/v1/claims", "/v1/sightings", "/v1/takedowns", "/host/v1/demands/{demand_id}"} <= set(whole["paths"])
    confirmation = whole["paths"]["/v1/claims/{claim_id}/confirmation"]["post"]
    assert [one["name"] for one in confirmation["parameters"]] == ["claim_id", "Idempotency-Key"]
    assert whole["paths"]["/v1/claims"]["post"]["parameters"][0]["required"], "the key of a new claim"
    operations = [one for path in whole["paths"].values() for one in path.values()]
    for operation in operations:
        assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
    schemes = {path: [one.get("security") for one in of.values()] for path, of in whole["paths"].items()}
    assert schemes["/v1/claims"] == [[{"key": []}]] * 2
    assert schemes["/host/v1/demands/{demand_id}"] == [[{"demand": []}]]
    assert schemes["/.well-known/takedown.json"] == [None]
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(whole)))
    assert named <= set(whole["components"]["schemas"])
    succeed("openapi", "intake", "--output", str(tmp_path / "intake.json"), **data_dir)
    assert "/v1/takedowns" not in json.loads((tmp_path / "intake.json").read_text())["paths"]


def test_the_document_of_the_api_is_what_is_printed(data_dir: dict[str, str]) -> None:
    written = (ROOT / "docs" / "api" / "openapi.json").read_text()
    assert succeed("openapi", **data_dir) == written, "run: takedown openapi --output docs/api/openapi.json"


def test_keys_without_a_running_service(server_dir: Path) -> None:
    """The embedded PostgreSQL is started for each call, and nothing is left running (`server_dir` looks)."""
    settings = {"TAKEDOWN_DATA_DIR": str(server_dir)}
    arguments = ("--role", "crawler", "--person", "p-1", "--organisation", "o-1", "--label", "night run")
    made = json.loads(succeed("keys", "create", *arguments, "--json", **settings))
    assert made["key"].startswith("tdk_")
    listed = json.loads(succeed("keys", "list", "--json", **settings))
    assert listed["key_id"] == made["key_id"]
    assert listed["role"] == "crawler"
    assert made["key"] not in succeed("keys", "list", **settings)
    shown = succeed("keys", "create", *arguments, **settings).splitlines()
    assert len(shown) == 1, "a script takes it as it is: TAKEDOWN_KEY=$(takedown keys create …)"
    assert shown[0].startswith("tdk_")
    succeed("keys", "revoke", made["key_id"], "--suspend-content", **settings)
    listed = [json.loads(line) for line in succeed("keys", "list", "--json", **settings).splitlines()]
    assert {one["key_id"] for one in listed if one["revoked_at"] is not None} == {made["key_id"]}
    unknown = call("keys", "revoke", "00000000-0000-4000-8000-000000000000", **settings)
    assert unknown.code == 1
    assert "no key with this id" in unknown.complaint
