"""Keys of people and programs (`tdk_…`): who holds one, with which role, and the rows of them. Shown once, stored as SHA-256.

What asks for one over HTTP is in `auth.py`: a command that makes keys loads no web framework.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from psycopg.rows import class_row

from shared.access.keyring import token_hash
from shared.db.pool import Tx

KEY_PREFIX = "tdk_"
_OPAQUE_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Role(StrEnum):
    """crawler: posts sightings, reads nothing. helpline: claims and its own reads. operations: the stream.

    reader: takedowns and tasks, no URL, no case.
    """

    HELPLINE = "helpline"
    CRAWLER = "crawler"
    OPERATIONS = "operations"
    READER = "reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request: a person, by an opaque id, of an organisation, by a key with one role."""

    key_id: UUID
    person_id: str
    organisation_id: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as the table has it, without its secret."""

    key_id: UUID
    person_id: str
    organisation_id: str
    role: str
    label: str
    created_at: datetime
    revoked_at: datetime | None


def parse_opaque_id(text: str) -> str:
    """The id of a person or an organisation. Raises ValueError.

    One way to write it: were `P-1` or `p-1 ` taken beside `p-1`, one person could be two, and the four eyes two. Nor can it be
    a host's (`host:…`) or hold an address (`@`).
    """
    if _OPAQUE_ID.fullmatch(text) is None:
        raise ValueError("An id has 1 to 64 characters: lower-case letters, digits, dots, underscores and hyphens.")
    return text


async def create_key(tx: Tx, *, person_id: str, organisation_id: str, role: Role, label: str = "") -> tuple[Key, str]:
    """A new key and its secret, which is shown here once and never again. Raises ValueError for an id that is none."""
    parse_opaque_id(person_id)
    parse_opaque_id(organisation_id)
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    await tx.execute(
        "INSERT INTO access.people (organisation_id, person_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (organisation_id, person_id),
    )
    cursor = tx.cursor(row_factory=class_row(Key))
    await cursor.execute(
        "INSERT INTO access.keys (key_id, key_hash, person_id, organisation_id, role, label)"
        " VALUES (%s, %s, %s, %s, %s, %s)"
        " RETURNING key_id, person_id, organisation_id, role, label, created_at, revoked_at",
        (uuid4(), token_hash(secret), person_id, organisation_id, role, label),
    )
    key = await cursor.fetchone()
    assert key is not None
    return key, secret


async def list_keys(tx: Tx) -> list[Key]:
    """All keys that were made for people and programs, oldest first; sessions are not among them."""
    cursor = tx.cursor(row_factory=class_row(Key))
    await cursor.execute(
        "SELECT key_id, person_id, organisation_id, role, label, created_at, revoked_at"
        " FROM access.keys WHERE kind = 'api' ORDER BY created_at, key_id"
    )
    return await cursor.fetchall()


async def find_key(tx: Tx, key_id: UUID) -> Key | None:
    """The key with this id, a session's too."""
    cursor = tx.cursor(row_factory=class_row(Key))
    await cursor.execute(
        "SELECT key_id, person_id, organisation_id, role, label, created_at, revoked_at FROM access.keys WHERE key_id = %s",
        (key_id,),
    )
    return await cursor.fetchone()


async def revoke_key(tx: Tx, key_id: UUID) -> Key | None:
    """Revoke a key at once; None when there is no such key. Revoking twice keeps the first time."""
    cursor = tx.cursor(row_factory=class_row(Key))
    await cursor.execute(
        "UPDATE access.keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s"
        " RETURNING key_id, person_id, organisation_id, role, label, created_at, revoked_at",
        (key_id,),
    )
    return await cursor.fetchone()
