"""Bytes changed in the ways that readers trip over: cut, doubled, spliced, repeated without end, and with edges of numbers and texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

MAX_BYTES = 300_000
_EDGES = (
    *(
        b"\0",
        b"\xff",
        b"\x80",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\r\n",
        b"\n\n",
        b"%00",
        b"%",
    ),
    *(b"-1", b"0", b"9" * 20, b"9" * 400, b"1e999", b"NaN", b"null", b"9223372036854775808", b"\\u0000", b"\\ud800"),
    *(
        b"<",
        b"</",
        b"<!--",
        b"<a ",
        b"<svg>",
        b"<style>",
        b"&#x110000;",
        b"url(",
        b"'",
        b'"',
        b"]]>",
        b"data:,",
        b"javascript:",
    ),
    *(
        b"{",
        b"[",
        b"}",
        b"]",
        b",",
        b":",
        b";",
        b"=",
        b"&",
        b"#",
        b"/../",
        b"..",
        b"@",
        b"//",
        b"[::1]",
        b"\xe3\x80\x82",
        b"xn--",
    ),
    *(b"charset=idna", b"charset=utf-16", b"chunked", b"gzip, gzip", b"0.0.0.0", b"256.256.256.256..", b"+inf"),
)


def mutated(seed: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """One to six changes of the seed, at most `MAX_BYTES` long."""
    data = seed
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        data = _changed(data, others, dice)[:MAX_BYTES]
    return data


def _changed(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    here, there = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
    there = min(there, here + dice.choice((1, 4, 40, len(data))))
    match dice.randrange(8):
        case 0:
            return data[:here] + data[there:]
        case 1:
            return data[:there] + data[here:]
        case 2:
            return data[:here] + dice.choice(_EDGES) + data[here:]
        case 3:
            return data[:here] + dice.choice(_EDGES) + data[there:]
        case 4:
            other = dice.choice(others)
            return data[:here] + other[dice.randint(0, len(other)) :]
        case 5:
            piece = data[here:there][:64] or dice.choice(_EDGES)
            return data[:here] + piece * dice.choice((2, 50, 3_000)) + data[here:]
        case 6:
            return data[:here] + dice.randbytes(there - here) + data[there:]
        case _:
            flipped = bytearray(data)
            for _ in range(min(len(flipped), dice.choice((1, 3, 20)))):
                flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
            return bytes(flipped)
