"""Kafka that asks who we are: every client shows it, and a refusal is one line that says what to change."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from services.standalone.assembly import kafka_access
from shared.contracts.topics import TOPICS
from shared.errors import BadSettings
from shared.log.kafka.log import KafkaLog
from shared.log.port import LogRefusesUs, OutgoingRecord, TopicPartition
from shared.process.settings import PREFIX, Settings, load
from tests.contract.log_harness import a_topic, read_all
from tests.e2e.processes import PROGRAM
from tests.fixtures_servers import open_temporary_dir
from tests.secure_kafka import MECHANISMS, PLAIN, SCRAM_256, SCRAM_512, SecureKafka, secure_kafka


@pytest.fixture(scope="module")
def secured() -> Iterator[SecureKafka]:
    with open_temporary_dir() as folder, secure_kafka(folder) as kafka:
        yield kafka


def settings_of(environment: Mapping[str, str]) -> Settings:
    return load({}, **{name.removeprefix(PREFIX).lower(): value for name, value in environment.items()})


def log_of(environment: dict[str, str]) -> KafkaLog:
    return KafkaLog(kafka_access(settings_of(environment)))


@pytest.mark.parametrize(("mechanism", "tls"), [*((one, True) for one in MECHANISMS), (SCRAM_512, False)])
async def test_every_client_says_who_it_is(secured: SecureKafka, mechanism: str, tls: bool) -> None:
    log, topic = log_of(secured.environment(mechanism, tls=tls)), a_topic()
    try:
        await log.ensure_topics([topic])
        async with log.publisher() as publisher, log.publisher(transactional_id=topic.name) as relay:
            await publisher.publish([OutgoingRecord(topic=topic.name, key=b"k", value=b"1", headers=())])
            await relay.publish([OutgoingRecord(topic=topic.name, key=b"k", value=b"2", headers=())])
        assert sorted(one.value or b"" for one in await read_all(log, topic)) == [b"1", b"2"]
        places = [TopicPartition(topic=topic.name, partition=number) for number in range(topic.partitions)]
        assert sum([await log.end(place) for place in places]) >= 2
        async with log.group_reader(group=topic.name, topics=[topic.name], member_id="m") as member:
            while not (await member.poll(timeout_seconds=0.2)).assigned:
                pass
    finally:
        await log.close()


REFUSALS = {
    "another password": (SCRAM_512, {"TAKEDOWN_KAFKA_PASSWORD": "wrong"}, "TAKEDOWN_KAFKA_PASSWORD"),
    "another password, PLAIN": (PLAIN, {"TAKEDOWN_KAFKA_PASSWORD": "wrong"}, "TAKEDOWN_KAFKA_PASSWORD"),
    "a user nobody knows": (SCRAM_256, {"TAKEDOWN_KAFKA_USERNAME": "nobody"}, "TAKEDOWN_KAFKA_USERNAME"),
    "a certificate nobody we trust has signed": (SCRAM_512, {"TAKEDOWN_KAFKA_CA_FILE": ""}, "TAKEDOWN_KAFKA_CA_FILE"),
    "TLS where there is none": (SCRAM_512, {"TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": "clear"}, "TAKEDOWN_KAFKA_TLS"),
    "a mechanism that is not taken there": (PLAIN, {"TAKEDOWN_KAFKA_TLS": "false"}, "TAKEDOWN_KAFKA_SASL"),
}


def refused(secured: SecureKafka, name: str) -> tuple[dict[str, str], str]:
    mechanism, changes, named = REFUSALS[name]
    environment = secured.environment(mechanism, tls=changes.get("TAKEDOWN_KAFKA_TLS") != "false")
    environment |= changes
    if changes.get("TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS") == "clear":
        environment["TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS"] = secured.clear
    return {key: value for key, value in environment.items() if value}, named


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_says_what_to_change_and_no_secret(secured: SecureKafka, name: str) -> None:
    environment, named = refused(secured, name)
    log = log_of(environment)
    try:
        with pytest.raises(LogRefusesUs, match=named) as raised:
            await log.missing_topics(TOPICS)
    finally:
        await log.close()
    assert environment["TAKEDOWN_KAFKA_PASSWORD"] not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_program_says_it_in_one_line_and_ends_with_2(secured: SecureKafka, tmp_path: Path) -> None:
    environment, named = refused(secured, "another password")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TAKEDOWN_")}
    command = [str(PROGRAM), "topics", "ensure"]
    more = {"TAKEDOWN_DATA_DIR": str(tmp_path)}
    ended = subprocess.run(
        command, env={**inherited, **environment, **more}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if named in line]
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert environment["TAKEDOWN_KAFKA_PASSWORD"] not in ended.stderr


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TAKEDOWN_KAFKA_SASL": "PLAIN"}, "TAKEDOWN_KAFKA_USERNAME"),
        ({"TAKEDOWN_KAFKA_SASL": "PLAIN", "TAKEDOWN_KAFKA_USERNAME": "a"}, "TAKEDOWN_KAFKA_PASSWORD"),
        ({"TAKEDOWN_KAFKA_USERNAME": "a", "TAKEDOWN_KAFKA_PASSWORD": "b"}, "TAKEDOWN_KAFKA_SASL"),
        ({"TAKEDOWN_KAFKA_CA_FILE": "/nowhere.pem"}, "TAKEDOWN_KAFKA_TLS"),
        ({"TAKEDOWN_KAFKA_TLS": "true", "TAKEDOWN_KAFKA_CA_FILE": "/nowhere.pem"}, "TAKEDOWN_KAFKA_CA_FILE"),
        ({"TAKEDOWN_KAFKA_TLS": "true", "TAKEDOWN_KAFKA_CERT_FILE": "/nowhere.pem"}, "TAKEDOWN_KAFKA_CERT_FILE"),
        ({"TAKEDOWN_KAFKA_TLS": "true", "TAKEDOWN_KAFKA_CA_FILE": __file__}, "TAKEDOWN_KAFKA_CA_FILE"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, str], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        kafka_access(settings_of({"TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": "k1:9092", **changes}))


@pytest.mark.parametrize(
    ("servers", "changes", "dangers"),
    [
        ("127.0.0.1:9092,localhost:9093,[::1]:9094", {}, ()),
        ("k1.example:9092", {}, ("unauthenticated", "unencrypted")),
        ("127.0.0.1:9092,10.0.0.7:9092", {}, ("unauthenticated", "unencrypted")),
        ("k1.example:9092", {"TAKEDOWN_KAFKA_TLS": "true"}, ("unauthenticated",)),
        ("k1.example:9092", {"sasl": "yes"}, ("unencrypted",)),
        ("k1.example:9092", {"sasl": "yes", "TAKEDOWN_KAFKA_TLS": "true"}, ()),
    ],
)
def test_an_open_door_outside_this_machine_is_a_warning(
    servers: str, changes: dict[str, str], dangers: tuple[str, ...]
) -> None:
    sasl = {"TAKEDOWN_KAFKA_SASL": PLAIN, "TAKEDOWN_KAFKA_USERNAME": "a", "TAKEDOWN_KAFKA_PASSWORD": "b"}
    given = {**changes, **sasl} if changes.get("sasl") else changes
    environment = {"TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS": servers, **given}
    environment.pop("sasl", None)
    access = kafka_access(settings_of(environment))
    assert access.open_to == dangers
    assert replace(access, certificate=True).open_to == tuple(one for one in dangers if one != "unauthenticated")
