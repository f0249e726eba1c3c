"""People who sign in: invited by a one-time link, at work in sessions. A session is a row of `access.keys` that ends by itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from psycopg.rows import class_row

from shared.access.keyring import token_hash
from shared.access.keys import KEY_PREFIX, Principal, Role, parse_opaque_id
from shared.db.pool import Database, Tx

SignInRole = Literal["helpline", "operations"]
"""Roles of people; those of programs alone are `crawler` and `reader`."""

INVITATION_LASTS = timedelta(hours=24)
SESSION_LASTS = timedelta(hours=12)
"""How long a session lasts after signing in: a shift."""
SESSION_IDLE = timedelta(minutes=30)
"""How long a session may be unused before it ends."""
IDLE_STEP = timedelta(minutes=1)
"""How exactly the last use is kept: a write a minute, not one a request."""

_ADD = """
INSERT INTO access.people (organisation_id, person_id, role) VALUES (%s, %s, %s)
ON CONFLICT (organisation_id, person_id) DO UPDATE SET role = excluded.role, disabled_at = NULL
"""
_SPEND = """
UPDATE access.invitations SET used_at = now() WHERE organisation_id = %s AND person_id = %s AND used_at IS NULL
"""
_INVITE = "INSERT INTO access.invitations (token_hash, organisation_id, person_id, expires_at) VALUES (%s, %s, %s, now() + %s)"
_USE = """
UPDATE access.invitations i SET used_at = now() FROM access.people p
WHERE i.token_hash = %s AND i.used_at IS NULL AND i.expires_at > now() AND p.disabled_at IS NULL AND p.role IS NOT NULL
  AND p.organisation_id = i.organisation_id AND p.person_id = i.person_id
RETURNING p.organisation_id, p.person_id, p.role
"""
_LOCK = """
SELECT 1 FROM access.people p JOIN access.invitations i USING (organisation_id, person_id)
WHERE i.token_hash = %s FOR UPDATE OF p
"""
_OPEN = """
INSERT INTO access.keys (key_id, key_hash, person_id, organisation_id, role, label, kind, expires_at, idle_at)
VALUES (%(key_id)s, %(hash)s, %(person)s, %(organisation)s, %(role)s, 'signed in', 'session', now() + %(lasts)s, now() + %(idle)s)
RETURNING expires_at
"""
_USED = "UPDATE access.keys SET idle_at = now() + %s WHERE key_id = %s AND idle_at < now() + %s"
_DISABLE = """
UPDATE access.people SET disabled_at = coalesce(disabled_at, now()) WHERE organisation_id = %s AND person_id = %s
"""
_END_SESSIONS = """
UPDATE access.keys SET revoked_at = coalesce(revoked_at, now())
WHERE organisation_id = %s AND person_id = %s AND kind = 'session' AND revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Session:
    """Somebody who signed in. `secret` is a bearer key of the API, shown to nobody but the browser that holds it."""

    principal: Principal
    secret: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person as the table has them."""

    organisation_id: str
    person_id: str
    role: str | None
    created_at: datetime
    disabled_at: datetime | None


async def invite(tx: Tx, *, person_id: str, organisation_id: str, role: SignInRole) -> str:
    """The token of a link that signs this person in once, within INVITATION_LASTS; links from before do so no more. Who is not known
    yet is added; who is has this role from now on. Raises ValueError for an id that is none."""
    parse_opaque_id(person_id)
    parse_opaque_id(organisation_id)
    token = secrets.token_urlsafe(32)
    await tx.execute(_ADD, (organisation_id, person_id, role))
    await tx.execute(_SPEND, (organisation_id, person_id))
    await tx.execute(_INVITE, (token_hash(token), organisation_id, person_id, INVITATION_LASTS))
    return token


async def invited(database: Database, token: str) -> bool:
    """Whether this link still signs somebody in. Changes nothing."""
    query = "SELECT 1 FROM access.invitations WHERE token_hash = %s AND used_at IS NULL AND expires_at > now()"
    return await database.read_one(query, (token_hash(token),)) is not None


async def sign_in(tx: Tx, token: str) -> Session | None:
    """Use a link: the session it opens; None for one that is unknown, used, too old, or of somebody who may not sign in."""
    await tx.execute(_LOCK, (token_hash(token),))  # who disables them waits, and then finds the session
    row = await (await tx.execute(_USE, (token_hash(token),))).fetchone()
    if row is None:
        return None
    principal = Principal(
        key_id=uuid4(),
        person_id=row["person_id"],
        organisation_id=row["organisation_id"],
        role=Role(row["role"]),
    )
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    opened = await tx.execute(
        _OPEN,
        {
            "key_id": principal.key_id,
            "hash": token_hash(secret),
            "person": principal.person_id,
            "organisation": principal.organisation_id,
            "role": principal.role.value,
            "lasts": SESSION_LASTS,
            "idle": SESSION_IDLE,
        },
    )
    ends = await opened.fetchone()
    assert ends is not None
    return Session(principal=principal, secret=secret, expires_at=ends["expires_at"])


async def keep_session(tx: Tx, key_id: UUID) -> None:
    """Record that a session was used."""
    await tx.execute(_USED, (SESSION_IDLE, key_id, SESSION_IDLE - IDLE_STEP))


async def disable(tx: Tx, *, person_id: str, organisation_id: str) -> bool:
    """Let nobody sign in as this person any more, and end their sessions at once. False: there is no such person. Keys stay."""
    done = await tx.execute(_DISABLE, (organisation_id, person_id))
    await tx.execute(_SPEND, (organisation_id, person_id))
    await tx.execute(_END_SESSIONS, (organisation_id, person_id))
    return done.rowcount > 0


async def sessions_of(tx: Tx, *, person_id: str, organisation_id: str) -> list[UUID]:
    """The keys of all their sessions, ended ones too."""
    query = "SELECT key_id FROM access.keys WHERE organisation_id = %s AND person_id = %s AND kind = 'session'"
    rows = await (await tx.execute(query, (organisation_id, person_id))).fetchall()
    return [row["key_id"] for row in rows]


async def is_person(tx: Tx, *, organisation_id: str, person_id: str) -> bool:
    """Whether the organisation has somebody with this id who is not disabled."""
    query = "SELECT 1 FROM access.people WHERE organisation_id = %s AND person_id = %s AND disabled_at IS NULL"
    return await (await tx.execute(query, (organisation_id, person_id))).fetchone() is not None


async def list_people(tx: Tx) -> list[Person]:
    """All people, by organisation and id."""
    cursor = tx.cursor(row_factory=class_row(Person))
    await cursor.execute(
        "SELECT organisation_id, person_id, role, created_at, disabled_at FROM access.people"
        " ORDER BY organisation_id, person_id"
    )
    return await cursor.fetchall()
