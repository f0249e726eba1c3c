"""`keys`, on the database directly: whoever may start the services may make keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from services.standalone.terminal.output import (
    AsJson,
    remark,
    run,
    say,
    say_json,
    say_table,
    settings_of_client,
)
from shared.errors import Permanent

if TYPE_CHECKING:
    from shared.access.keys import Key

# What touches the database is imported when it is called: other commands start sooner.

keys = typer.Typer(help="Create, list and revoke the keys of people and programs.", no_args_is_help=True)


def opaque_id(text: str) -> str:
    """The id of a person or an organisation, of an option. Raises BadParameter."""
    from shared.access.keys import parse_opaque_id

    try:
        return parse_opaque_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


class NoSuchKey(Permanent):
    """There is no key with this id. `takedown keys list` shows all keys."""


def add_to(app: typer.Typer) -> None:
    app.add_typer(keys, name="keys")


@keys.command("create")
def create(
    role: Annotated[Literal["helpline", "crawler", "operations", "reader"], typer.Option(help="What the key allows.")],
    person: Annotated[
        str,
        typer.Option(
            help="An id for the person who will use it, such as p-1; never a name or an address.", callback=opaque_id
        ),
    ],
    organisation: Annotated[
        str, typer.Option(help="An id for that person's organisation, such as our-helpline.", callback=opaque_id)
    ],
    label: Annotated[str, typer.Option(help="A note for yourself: what the key is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Create a key. It is shown once, now, and never again."""

    from services.intake.claims.actors import COMMAND_LINE
    from services.standalone import assembly
    from shared.access import audit
    from shared.access.keys import Role, create_key
    from shared.db.migrations import migrate

    async def make() -> tuple[Key, str]:
        async with assembly.database_for_command(settings_of_client()) as database:
            await migrate(database, [assembly.ACCESS])
            async with database.transaction() as tx:
                made = await create_key(
                    tx, person_id=person, organisation_id=organisation, role=Role(role), label=label
                )
                await audit.record(tx, COMMAND_LINE, action="key.created", object_kind="key", object_id=made[0].key_id)
                return made

    key, secret = run(make())
    if as_json:
        say_json({**asdict(key), "key": secret})
    else:
        say(secret)
        remark(
            f"This is the only time the key is shown. Set TAKEDOWN_KEY to it, or send it as a bearer token. Its id: {key.key_id}"
        )


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List all keys, without their secret part."""

    from services.standalone import assembly
    from shared.access.keys import list_keys
    from shared.db.migrations import migrate

    async def read() -> list[Key]:
        async with assembly.database_for_command(settings_of_client()) as database:
            await migrate(database, [assembly.ACCESS])
            async with database.transaction() as tx:
                return await list_keys(tx)

    found = run(read())
    if as_json:
        for key in found:
            say_json(asdict(key))
        return
    say_table(
        ("key id", "role", "person", "organisation", "label", "created (UTC)", "revoked (UTC)"),
        [
            (key.key_id, key.role, key.person_id, key.organisation_id, key.label, key.created_at, key.revoked_at)
            for key in found
        ],
        empty="There are no keys yet. `takedown keys create` makes one.",
    )


@keys.command("revoke")
def revoke(
    key_id: Annotated[UUID, typer.Argument(metavar="KEY", help="The id of the key, as `takedown keys list` shows it.")],
    suspend_content: Annotated[
        bool, typer.Option("--suspend-content", help="Also suspend all content that rests on this key alone.")
    ] = False,
) -> None:
    """Revoke a key. It stops working at once."""

    from services.intake.claims.actors import COMMAND_LINE
    from services.standalone import assembly
    from shared.access import audit
    from shared.access.keys import find_key, revoke_key
    from shared.db.migrations import migrate

    async def end() -> tuple[Key | None, int]:
        settings = settings_of_client()
        async with assembly.database_for_command(settings) as database:
            await migrate(database, assembly.schemas_of(settings))
            if suspend_content:
                from services.intake.claims.keys import revoke_key_and_suspend

                async with database.transaction() as tx:
                    known = await find_key(tx, key_id)
                stopped = () if known is None else await revoke_key_and_suspend(database, key_id)
                return known, len(stopped)
            async with database.transaction() as tx:
                revoked = await revoke_key(tx, key_id)
                if revoked is not None:
                    await audit.record(tx, COMMAND_LINE, action="key.revoked", object_kind="key", object_id=key_id)
                return revoked, 0

    key, count = run(end())
    if key is None:
        raise NoSuchKey()
    say(f"Key {key_id} is revoked." + (f" Content suspended: {count}." if suspend_content else ""))
