"""How near what was fingerprinted is to the picture it was made of."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from shared.media.fingerprinter import MediaFingerprints
from shared.media.fingerprints import hamming
from shared.media.pdq import pdq_hash
from tests.integration.shared.media.pictures import encoded, picture


def nearest(media: MediaFingerprints, image: Image.Image | None = None) -> int:
    """Bits between the picture and the nearest view, as it is."""
    return min(hamming(view_pdq, pdq_hash(image or picture())[0]) for view_pdq in first_values(media))


def first_values(media: MediaFingerprints) -> list[bytes]:
    return [next(iter(view.values()))[0] for view in media.views]


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def with_chunk(*chunks: bytes, mode: str = "RGB", after: bytes = b"IHDR") -> bytes:
    """Our picture as PNG, with further chunks behind its head (or before its end)."""
    body = encoded(picture().convert(mode), "PNG")
    place = 33 if after == b"IHDR" else body.rfind(b"IEND") - 4
    return body[:place] + b"".join(chunks) + body[place:]
