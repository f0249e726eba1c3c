"""The partitioner agrees with Kafka's: the vectors of its own `UtilsTest.testMurmur2`, and aiokafka's implementation."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_kafkas_own_vectors(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed % 2**32


@settings(max_examples=200)
@given(data=st.binary(max_size=64), partitions=st.integers(1, 50))
def test_it_agrees_with_aiokafka(data: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert murmur2(data) == theirs(data) % 2**32
    assert partition_of(data, partitions) == DefaultPartitioner()(data, everywhere, everywhere)


def test_no_key_hashes_as_the_empty_one() -> None:
    assert partition_of(None, 7) == partition_of(b"", 7)
