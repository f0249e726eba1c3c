"""Arrays in one file, mapped into memory when read, and refused when a bit of what is read of it is not as it was written.

    8 bytes   magic             8 bytes   length of the header, little-endian
    32 bytes  SHA-256 of the header
    header    JSON: version, kind, words, and of each array its name, type, shape, place and SHA-256
    arrays    each at a multiple of 64 bytes; what lies between them is read by nobody

A checksum finds damage, not malice: whoever may write the file decides what is found. It is made with mode 0600.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = b"TKDNIDX\n"
_VERSION = 1
_FRONT_BYTES = 48
_ALIGNMENT_BYTES = 64
_MOST_HEADER_BYTES = 1 << 20


class BadIndexFile(ValueError):
    """The file is damaged, cut short, of another version, or was never an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIndex:
    """What a file holds: the `kind` of table, a few `words` it needs to be read, and named arrays."""

    kind: str
    words: tuple[str, ...]
    arrays: Mapping[str, npt.NDArray[Any]]

    def take(
        self, name: str, dtype: npt.DTypeLike, dimensions: int, shape: tuple[int, ...] | None = None
    ) -> npt.NDArray[Any]:
        """The array of that name. Raises BadIndexFile unless it has this type and shape."""
        array = self.arrays.get(name)
        if array is None or array.dtype != dtype or array.ndim != dimensions or (shape or array.shape) != array.shape:
            raise BadIndexFile(f"array {name} is missing or not of the type and shape that is needed")
        return array


def write_stored(path: Path, stored: StoredIndex) -> None:
    """Written beside `path`, fsynced and renamed over it: there is the old file or the whole new one, mode 0600. Raises OSError."""
    arrays = {name: np.ascontiguousarray(array) for name, array in stored.arrays.items()}
    rows, place = [], 0
    for name, array in arrays.items():
        rows.append([name, array.dtype.str, list(array.shape), place, hashlib.sha256(_bytes_of(array)).hexdigest()])
        place += _aligned(array.nbytes)
    header = json.dumps(
        {"version": _VERSION, "byteorder": sys.byteorder, "kind": stored.kind, "words": stored.words, "arrays": rows}
    ).encode()
    descriptor, temporary = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(_MAGIC + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header)
            file.write(bytes(_aligned(_FRONT_BYTES + len(header)) - _FRONT_BYTES - len(header)))
            for array in arrays.values():
                file.write(_bytes_of(array))
                file.write(bytes(_aligned(array.nbytes) - array.nbytes))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_stored(path: Path) -> StoredIndex:
    """The file's arrays, mapped. They may be written to; that changes memory alone, never the file. Raises BadIndexFile and OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _FRONT_BYTES:
            raise BadIndexFile(f"{path.name} is too short")
        # Copy on write: compiled loops are made for arrays that can be written to, and would be compiled twice for others.
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    if view[:8] != _MAGIC:
        raise BadIndexFile(f"{path.name} is not an index")
    length = int.from_bytes(view[8:16], "little")
    if length > min(_MOST_HEADER_BYTES, size - _FRONT_BYTES):
        raise BadIndexFile(f"{path.name} is cut short")
    header = bytes(view[_FRONT_BYTES : _FRONT_BYTES + length])
    if hashlib.sha256(header).digest() != view[16:_FRONT_BYTES]:
        raise BadIndexFile(f"{path.name} has a damaged header")
    try:
        return _read_arrays(path.name, json.loads(header), view, _aligned(_FRONT_BYTES + length))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadIndexFile):
            raise
        raise BadIndexFile(f"{path.name} has a header that is not understood") from None


def digest_of(path: Path) -> bytes:
    """What tells one file from another: the SHA-256 in its front, of a header that has the SHA-256 of each array. Raises OSError."""
    with path.open("rb") as file:
        return file.read(_FRONT_BYTES)[16:]


def _read_arrays(name: str, header: Any, view: memoryview, base: int) -> StoredIndex:
    if header["version"] != _VERSION or header["byteorder"] != sys.byteorder:
        raise BadIndexFile(f"{name} is of another version or kind of machine")
    arrays: dict[str, npt.NDArray[Any]] = {}
    for array_name, type_name, shape, place, digest in header["arrays"]:
        dtype = np.dtype(type_name)
        length = math.prod(shape) * dtype.itemsize
        piece = view[base + place : base + place + length]
        if len(piece) != length or hashlib.sha256(piece).hexdigest() != digest:
            raise BadIndexFile(f"{name} is damaged: array {array_name}")
        arrays[array_name] = np.frombuffer(piece, dtype=dtype).reshape(shape)
    return StoredIndex(kind=header["kind"], words=tuple(header["words"]), arrays=arrays)


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
