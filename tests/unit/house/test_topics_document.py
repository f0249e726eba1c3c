"""docs/operations.md says of each topic what the contract says; what Kafka's topics are made with is compared in tests/contract."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from shared.contracts.topics import TOPICS, Topic

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def said(duration: timedelta) -> str:
    hours = duration // timedelta(hours=1)
    return f"{hours} hour{'s' if hours != 1 else ''}" if hours <= 24 else f"{duration.days} days"


def row(topic: Topic) -> str:
    lags = ("min_compaction_lag", "max_compaction_lag", "delete_retention")
    kept = "the newest of each key" if topic.retention is None else said(topic.retention)
    of_compaction = [said(getattr(topic, name)) if topic.compacted else "" for name in lags]
    cells = [f"`{topic.name}`", str(topic.partitions), kept, *of_compaction, said(topic.segment)]
    return " ".join(f"| {cell}".rstrip() for cell in cells) + " |"


def test_each_topic_stands_there_as_it_is() -> None:
    lines = [line.strip() for line in DOCUMENT.read_text().splitlines()]
    assert [line for line in lines if line.startswith("| `takedown.")] == [row(topic) for topic in TOPICS]
