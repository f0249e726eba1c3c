"""What the Kafka adapter's parts share: errors in the port's words, topics as they stand, and their settings.

aiokafka (chosen over confluent-kafka, which is no asyncio client, and faust-streaming, which acknowledges what its handler failed
on) knows no topic ids: its Metadata request ends at version 5. Version 12 is spoken here (KIP-516).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from uuid import UUID

import aiokafka
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.contracts.topics import Topic
from shared.errors import TakedownError
from shared.log.kafka.access import KafkaAccess
from shared.log.port import (
    CommitRefused,
    LogRefusesUs,
    LogUnavailable,
    OffsetOutOfRange,
    PublisherFenced,
    RecordTooLarge,
    TopicPartition,
    UnknownTopic,
)

REQUEST_TIMEOUT_MS = 10_000
"""Of one request and of delivering a record; then the log is unavailable, and whoever holds locks can let go of them."""

_DYNAMIC_TOPIC_CONFIG = 1
_NO_ERROR = 0
_UNKNOWN_TOPIC = 3
_TOPIC_ALREADY_EXISTS = 36


@contextmanager
def port_errors() -> Iterator[None]:
    """Raise Kafka's errors as the port's. Their text is left out: it may quote records."""
    try:
        yield
    except TakedownError:
        raise
    except errors.OffsetOutOfRangeError as error:
        place = next(iter(error.args[0])) if error.args and isinstance(error.args[0], Mapping) else None
        partition = None if place is None else TopicPartition(topic=place.topic, partition=place.partition)
        raise OffsetOutOfRange(
            "" if place is None else f"{place.topic}/{place.partition}", partition=partition
        ) from error
    except (errors.ProducerFenced, errors.InvalidProducerEpoch) as error:
        raise PublisherFenced from error
    except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError) as error:
        raise RecordTooLarge from error
    except errors.UnknownTopicOrPartitionError as error:
        raise UnknownTopic from error
    except (errors.CommitFailedError, errors.IllegalStateError) as error:
        raise CommitRefused(type(error).__name__) from error
    except (
        errors.TopicAuthorizationFailedError,
        errors.GroupAuthorizationFailedError,
        errors.ClusterAuthorizationFailedError,
        errors.TransactionalIdAuthorizationFailed,
    ) as error:
        raise not_allowed(error) from error
    except (errors.KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(type(error).__name__) from error


def not_allowed(error: errors.KafkaError) -> LogRefusesUs:
    """Whether the access list lets us in, but forbids this operation."""
    return LogRefusesUs(
        f"Its access list does not allow this ({type(error).__name__}): docs/operations.md says which rights each service needs."
    )


def _failed(error_code: int) -> LogUnavailable:
    error = errors.for_code(error_code)
    if error in (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError):
        return not_allowed(error())
    return LogUnavailable(error.__name__)


def kafka_partition(partition: TopicPartition) -> aiokafka.TopicPartition:
    return aiokafka.TopicPartition(partition.topic, partition.partition)


def port_partition(partition: aiokafka.TopicPartition) -> TopicPartition:
    return TopicPartition(topic=partition.topic, partition=partition.partition)


def topic_settings(topic: Topic) -> dict[str, str]:
    """A topic's settings as Kafka names them. Times are the log's own (`LogAppendTime`), as on PostgreSQL."""
    settings = {"message.timestamp.type": "LogAppendTime", "segment.ms": _ms(topic.segment)}
    if topic.retention is not None:
        return {**settings, "cleanup.policy": "delete", "retention.ms": _ms(topic.retention)}
    return {
        **settings,
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": _ms(topic.min_compaction_lag),
        "max.compaction.lag.ms": _ms(topic.max_compaction_lag),
        "delete.retention.ms": _ms(topic.delete_retention),
    }


def _ms(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic as the cluster describes it."""

    cluster_id: str
    topic_id: UUID
    partitions: int


class KafkaAdmin:
    """Asks and changes topics; connects when first used."""

    def __init__(self, access: KafkaAccess | str) -> None:
        self._access = KafkaAccess.of(access)
        self._client: AIOKafkaAdminClient | None = None
        self._lock = asyncio.Lock()

    async def describe(self, names: Collection[str]) -> dict[str, TopicState]:
        """The topics that exist among `names`. Raises LogUnavailable."""
        with port_errors():
            client = await self._started()
            response = await client._send_request(
                _DescribeTopics(sorted(names))
            )  # aiokafka has no public way to send one
        found = {}
        for error_code, name, topic_id, _, partitions, _, _ in response.topics:
            if error_code == _UNKNOWN_TOPIC:
                continue
            if error_code != _NO_ERROR:
                raise _failed(error_code)
            found[name] = TopicState(cluster_id=response.cluster_id, topic_id=topic_id, partitions=len(partitions))
        return found

    async def create(self, topics: Collection[Topic]) -> None:
        """Create topics; one that exists already is left as it is. Raises LogUnavailable."""
        # -1: as many copies as the broker's `default.replication.factor` says. NewTopic takes it with an (empty) assignment only.
        wanted = [NewTopic(topic.name, topic.partitions, -1, {}, topic_settings(topic)) for topic in topics]
        with port_errors():
            client = await self._started()
            response = await client.create_topics(wanted)
        for _, error_code, *_ in response.topic_errors:
            if error_code not in (_NO_ERROR, _TOPIC_ALREADY_EXISTS):
                raise _failed(error_code)

    async def settings_of(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        """Settings made on the topics themselves, not those they take from the broker. Raises LogUnavailable."""
        with port_errors():
            client = await self._started()
            responses = await client.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
            )
        found: dict[str, dict[str, str]] = {}
        for response in responses:
            for resource in response.to_object()["resources"]:
                found[resource["resource_name"]] = {
                    entry["config_names"]: entry["config_value"]
                    for entry in resource["config_entries"]
                    if entry["config_source"] == _DYNAMIC_TOPIC_CONFIG
                }
        return found

    async def bring_settings_up_to_date(self, topics: Collection[Topic]) -> None:
        """Change what differs; further settings an operator made on a topic stay. Raises LogUnavailable."""
        present = await self.settings_of([topic.name for topic in topics])
        changed = []
        for topic in topics:
            has = present.get(topic.name, {})
            wanted = {**has, **topic_settings(topic)}
            if wanted != has:
                changed.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, wanted))
        if not changed:
            return
        with port_errors():
            client = await self._started()
            responses = await client.alter_configs(changed)
        for response in responses:
            for error_code, *_ in response.resources:
                if error_code != _NO_ERROR:
                    raise _failed(error_code)

    async def committed(
        self, group: str, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, str]]:
        """A group's committed offsets and metadata; without those it has none of. Raises LogUnavailable."""
        if not partitions:
            return {}
        with port_errors():
            client = await self._started()
            found = await client.list_consumer_group_offsets(
                group, partitions=[kafka_partition(partition) for partition in partitions]
            )
        return {port_partition(place): (c.offset, c.metadata) for place, c in found.items() if c.offset >= 0}

    async def members_of(self, group: str) -> frozenset[str]:
        """The broker's ids of a group's members; a static member's begins with its own id and a hyphen. Raises LogUnavailable."""
        with port_errors():
            client = await self._started()
            responses = await client.describe_consumer_groups([group])
        return frozenset(
            member["member_id"]
            for response in responses
            for described in response.to_object()["groups"]
            for member in described["members"]
        )

    async def close(self) -> None:
        async with self._lock:
            client, self._client = self._client, None
            if client is not None:
                await client.close()

    async def _started(self) -> AIOKafkaAdminClient:
        async with self._lock:
            if self._client is None:
                client = AIOKafkaAdminClient(**self._access.client_settings, request_timeout_ms=REQUEST_TIMEOUT_MS)
                try:
                    await client.start()
                except BaseException as error:
                    await client.close()
                    refused = await self._access.why_refused() if isinstance(error, errors.KafkaError) else None
                    if refused is not None:
                        raise refused from error
                    raise
                self._client = client
            return self._client


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka ships no types
    """16 bytes (KIP-516)."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponseV12(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestV12(RequestStruct):  # type: ignore[misc]  # aiokafka ships no types
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _DescribeTopics(Request[_MetadataRequestV12]):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataRequestV12]) -> _MetadataRequestV12:
        return request_struct_class([(UUID(int=0), name, {}) for name in self._names], False, False, {})
