"""Kafka's partitioner, the same on both logs.

MurmurHash2 (Austin Appleby), 32 bit, with the seed of `org.apache.kafka.common.utils.Utils.murmur2`; a key's partition is
the hash without its sign bit, modulo the number of partitions (`BuiltInPartitioner.partitionForKey`).
"""

from __future__ import annotations

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The hash as an unsigned 32-bit integer."""
    hash_ = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        hash_ = (hash_ * _MULTIPLIER & _MASK) ^ word
    if whole < len(data):
        hash_ = (hash_ ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    hash_ = (hash_ ^ hash_ >> 13) * _MULTIPLIER & _MASK
    return hash_ ^ hash_ >> 15


def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition of a key among `partitions`; a record without a key hashes as the empty one."""
    return (murmur2(key or b"") & 0x7FFFFFFF) % partitions
