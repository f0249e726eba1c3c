"""Signing in: a link works once, a session ends by itself, and a person is one person whether by key or by link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.standalone import assembly
from shared.access import people
from shared.access.auth import authenticate, lock_valid_key, still_valid
from shared.access.keys import Role, create_key, list_keys, revoke_key
from shared.db.migrations import migrate
from shared.db.pool import Database
from shared.http.problems import Unauthenticated


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[Database]:
    async with Database(fresh_database) as opened:
        await migrate(opened, [assembly.ACCESS])
        yield opened


async def session_of(database: Database, person: str = "p-1") -> people.Session:
    async with database.transaction() as tx:
        token = await people.invite(tx, person_id=person, organisation_id="helpline", role="helpline")
        session = await people.sign_in(tx, token)
    assert session is not None
    return session


async def change(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(statement)


async def test_a_link_signs_in_once(database: Database) -> None:
    async with database.transaction() as tx:
        token = await people.invite(tx, person_id="p-1", organisation_id="helpline", role="helpline")
    assert await people.invited(database, token)
    async with database.transaction() as tx:
        session = await people.sign_in(tx, token)
        assert session is not None
        assert await people.sign_in(tx, token) is None
    assert not await people.invited(database, token)
    principal = await authenticate(database, session.secret)
    assert principal == session.principal
    assert principal.role is Role.HELPLINE
    async with database.transaction() as tx:
        assert await list_keys(tx) == [], "a session is no key that somebody made"


@pytest.mark.parametrize(
    "change_of_link",
    [
        "UPDATE access.invitations SET expires_at = now()",
        "UPDATE access.people SET disabled_at = now()",
        "UPDATE access.people SET role = NULL",
    ],
)
async def test_a_link_that_ended_signs_nobody_in(database: Database, change_of_link: str) -> None:
    async with database.transaction() as tx:
        token = await people.invite(tx, person_id="p-1", organisation_id="helpline", role="helpline")
    await change(database, change_of_link)
    async with database.transaction() as tx:
        assert await people.sign_in(tx, token) is None


@pytest.mark.parametrize("column", ["expires_at", "idle_at"])
async def test_a_session_ends_by_itself(database: Database, column: str) -> None:
    session = await session_of(database)
    await change(database, f"UPDATE access.keys SET {column} = now()")
    assert await authenticate(database, session.secret) is None
    assert not await still_valid(database, session.principal)
    with pytest.raises(Unauthenticated):
        async with database.transaction() as tx:
            await lock_valid_key(tx, session.principal)


async def test_a_session_that_is_used_goes_on(database: Database) -> None:
    session = await session_of(database)
    await change(database, "UPDATE access.keys SET idle_at = now() + interval '2 minutes'")
    async with database.transaction() as tx:
        await people.keep_session(tx, session.principal.key_id)
    await change(database, "UPDATE access.keys SET idle_at = idle_at - interval '5 minutes'")
    assert await authenticate(database, session.secret) is not None


async def test_who_is_disabled_is_out_at_once_and_a_key_stays(database: Database) -> None:
    session, other = await session_of(database), await session_of(database, "p-2")
    async with database.transaction() as tx:
        _, secret = await create_key(tx, person_id="p-1", organisation_id="helpline", role=Role.HELPLINE)
        assert await people.disable(tx, person_id="p-1", organisation_id="helpline")
        assert not await people.disable(tx, person_id="p-9", organisation_id="helpline")
    assert await authenticate(database, session.secret) is None
    assert await authenticate(database, other.secret) is not None
    by_key = await authenticate(database, secret)
    assert by_key is not None
    assert by_key.person_id == session.principal.person_id, "an account and a key of one person are one person"


async def test_a_session_is_revoked_like_a_key(database: Database) -> None:
    session = await session_of(database)
    async with database.transaction() as tx:
        await revoke_key(tx, session.principal.key_id)
    assert await authenticate(database, session.secret) is None


async def test_an_id_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="1 to 64 characters"):
        async with database.transaction() as tx:
            await people.invite(tx, person_id="Mary Jones", organisation_id="helpline", role="helpline")


async def test_who_signs_in_while_they_are_disabled_is_out(database: Database) -> None:
    async with database.transaction() as tx:
        token = await people.invite(tx, person_id="p-1", organisation_id="helpline", role="helpline")
    async with database.transaction() as tx:
        session = await people.sign_in(tx, token)
        assert session is not None

        async def end() -> None:
            async with database.transaction() as other:
                await people.disable(other, person_id="p-1", organisation_id="helpline")

        ending = asyncio.create_task(end())
    await ending
    assert await authenticate(database, session.secret) is None


@pytest.mark.parametrize("change_of_person", ["disabled_at = now()", "role = 'operations'", "role = NULL"])
async def test_a_session_ends_with_what_it_rests_on(database: Database, change_of_person: str) -> None:
    session = await session_of(database)
    await change(database, f"UPDATE access.people SET {change_of_person}")
    assert await authenticate(database, session.secret) is None


async def test_an_older_link_ends_with_a_newer_one_and_with_its_person(database: Database) -> None:
    async with database.transaction() as tx:
        older = await people.invite(tx, person_id="p-1", organisation_id="helpline", role="helpline")
        newer = await people.invite(tx, person_id="p-1", organisation_id="helpline", role="helpline")
        assert await people.sign_in(tx, older) is None
        await people.disable(tx, person_id="p-1", organisation_id="helpline")
        await people.invite(tx, person_id="p-1", organisation_id="helpline", role="helpline")
        assert await people.sign_in(tx, newer) is None
