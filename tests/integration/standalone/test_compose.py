"""docker-compose.yml: it fits the compose specification, runs every service, and Kafka has the launcher's settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from services.standalone import assembly
from shared.log.kafka.local import BROKER_PROPERTIES, read_properties
from shared.process.settings import PREFIX, Settings
from tests.fixtures_servers import KAFKA_IMAGE

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(COMPOSE.read_text())["services"]
    return found


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("check-jsonschema")
    return subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", path], capture_output=True, text=True, check=False
    )


def test_it_fits_the_compose_specification(tmp_path: Path) -> None:
    done = check_schema(COMPOSE)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:", 1))
    assert check_schema(broken).returncode == 1


def test_kafka_has_the_settings_of_the_local_launcher(services: dict[str, Any]) -> None:
    given = {name: str(value) for name, value in services["kafka"]["environment"].items()}
    shared = {
        "KAFKA_" + name.upper().replace(".", "_"): value for name, value in read_properties(BROKER_PROPERTIES).items()
    }
    assert {name: given.get(name) for name in shared} == shared
    of_this_node = {
        *("KAFKA_NODE_ID", "KAFKA_PROCESS_ROLES", "KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_LOG_DIRS"),
        *("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "KAFKA_CONTROLLER_LISTENER_NAMES", "KAFKA_CONTROLLER_QUORUM_VOTERS"),
    }
    assert set(given) - set(shared) == of_this_node
    assert services["kafka"]["image"] == KAFKA_IMAGE


def test_each_service_runs_on_its_own_port(services: dict[str, Any]) -> None:
    for name in assembly.NAMES:
        assert services[name]["command"] == [name]
        assert services[name]["environment"]["TAKEDOWN_PORT"] == assembly.PORTS[name]


def test_every_setting_is_one_we_know(services: dict[str, Any]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name for service in services.values() for name in service["environment"] if name.startswith(PREFIX)}
    assert given <= known


OF_THE_IMAGE = {"data_dir"}
NOT_OF = {"prepare": {"port"}, "console": {"key"}}
OF_CLIENTS = {"intake_url", "notifier_url", "key"}


@pytest.mark.parametrize("name", [*assembly.NAMES, "prepare"])
def test_every_setting_reaches_every_container(services: dict[str, Any], name: str) -> None:
    """Without a value of its own compose hands on what is set where it runs, and nothing where nothing is."""
    given = {setting for setting in services[name]["environment"] if setting.startswith(PREFIX)}
    elsewhere = OF_THE_IMAGE | NOT_OF.get(name, OF_CLIENTS)
    wanted = {PREFIX + field.upper() for field in set(Settings.model_fields) - elsewhere}
    assert given == wanted


def test_what_is_reachable_is_reachable_from_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_image_is_built_from_the_lock() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in dockerfile
    assert "\nUSER takedown\n" in dockerfile


def test_the_browser_s_sandbox_has_the_calls_it_needs_and_no_other_container_has_them(services: dict[str, Any]) -> None:
    profiles = {
        name: [one.partition("=")[2] for one in service.get("security_opt", ()) if one.startswith("seccomp")]
        for name, service in services.items()
    }
    (path,) = profiles.pop("notifier")
    assert (ROOT / path).is_file()
    assert not any(profiles.values())
    assert all("no-new-privileges:true" in services[name]["security_opt"] for name in assembly.NAMES)
