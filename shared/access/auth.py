"""Bearer keys (`tdk_…`) of a person and an organisation, with a role. Shown once, stored as SHA-256 (RFC 6750 on the wire)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, Request
from psycopg.rows import class_row

from shared.access.keyring import token_hash
from shared.db.pool import Database, Tx
from shared.http.parameters import known_parameters_alone
from shared.http.problems import Forbidden, Unauthenticated

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
    """Who is asking: an opaque person of an organisation, by a key with one role."""

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
    """All keys, oldest first."""
    cursor = tx.cursor(row_factory=class_row(Key))
    await cursor.execute(
        "SELECT key_id, person_id, organisation_id, role, label, created_at, revoked_at"
        " FROM access.keys ORDER BY created_at, key_id"
    )
    return await cursor.fetchall()


async def revoke_key(tx: Tx, key_id: UUID) -> Key | None:
    """Revoke a key at once; None when there is no such key. Revoking twice keeps the first time."""
    cursor = tx.cursor(row_factory=class_row(Key))
    await cursor.execute(
        "UPDATE access.keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s"
        " RETURNING key_id, person_id, organisation_id, role, label, created_at, revoked_at",
        (key_id,),
    )
    return await cursor.fetchone()


async def authenticate(database: Database, secret: str) -> Principal | None:
    """The principal of a key that is not revoked; looked up on every request, so that a revocation is at once."""
    if not secret.startswith(KEY_PREFIX):
        return None
    row = await database.read_one(
        "SELECT key_id, person_id, organisation_id, role FROM access.keys WHERE key_hash = %s AND revoked_at IS NULL",
        (token_hash(secret),),
    )
    if row is None:
        return None
    return Principal(
        key_id=row["key_id"],
        person_id=row["person_id"],
        organisation_id=row["organisation_id"],
        role=Role(row["role"]),
    )


async def still_valid(database: Database, principal: Principal) -> bool:
    """Whether the key of a request that goes on for long is not revoked."""
    query = "SELECT 1 FROM access.keys WHERE key_id = %s AND revoked_at IS NULL"
    return await database.read_one(query, (principal.key_id,)) is not None


async def hold_key(tx: Tx, principal: Principal) -> None:
    """The key stays valid until the commit: a revocation waits for what it does here, and then finds it. To be called before other
    locks are taken. Raises Unauthenticated for a key revoked since the request came."""
    held = await tx.execute(
        "SELECT 1 FROM access.keys WHERE key_id = %s AND revoked_at IS NULL FOR SHARE", (principal.key_id,)
    )
    if await held.fetchone() is None:
        raise Unauthenticated("This key has been revoked. Ask your operations staff for a new one.")


def require(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the principal, or 401 / 403; 422 for a parameter that the path does not know.

    The app's `state.database` is asked.
    """

    async def dependency(request: Request) -> Principal:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Unauthenticated("Send your key in the header `Authorization: Bearer tdk_…`.")
        principal = await authenticate(request.app.state.database, secret.strip())
        if principal is None:
            raise Unauthenticated(
                "This key is unknown or has been revoked. Check that it was copied whole, or ask your operations staff for a new one."
            )
        if principal.role not in roles:
            raise Forbidden(
                f"A key with the role {principal.role} cannot do this. Use a key with one of these roles: {', '.join(roles)}."
            )
        known_parameters_alone(request)
        return principal

    return dependency


Helpline = Annotated[Principal, Depends(require(Role.HELPLINE))]
Crawler = Annotated[Principal, Depends(require(Role.CRAWLER))]
Operations = Annotated[Principal, Depends(require(Role.OPERATIONS))]
HelplineOrOperations = Annotated[Principal, Depends(require(Role.HELPLINE, Role.OPERATIONS))]
AnyReader = Annotated[Principal, Depends(require(Role.HELPLINE, Role.OPERATIONS, Role.READER))]
