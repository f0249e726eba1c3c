"""The result that the formats have in common: a file put right for a strict decoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """`body`: the file as a strict decoder takes it. `whole` False: picture data were cut short or damaged."""

    body: bytes
    whole: bool = True
