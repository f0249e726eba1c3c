"""`people`: who signs in to the desk. On the database directly: whoever may start the services may invite."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.standalone.cli.access import opaque_id
from services.standalone.terminal.output import AsJson, remark, run, say, say_json, say_table, settings_of_client
from shared.errors import Permanent

if TYPE_CHECKING:
    from shared.access.people import Person

# What touches the database is imported when it is called: other commands start sooner.

people = typer.Typer(help="Invite, list and disable the people who sign in to the desk.", no_args_is_help=True)

PersonId = Annotated[
    str, typer.Argument(metavar="PERSON", help="The id of a person, such as p-1; never a name.", callback=opaque_id)
]
OrganisationId = Annotated[
    str, typer.Option("--organisation", help="The id of that person's organisation.", callback=opaque_id)
]


class NoSuchPerson(Permanent):
    """Nobody of this organisation has this id. `takedown people list` shows everybody."""


def add_to(app: typer.Typer) -> None:
    app.add_typer(people, name="people")


@people.command("invite")
def invite(
    person: PersonId,
    organisation: OrganisationId,
    role: Annotated[Literal["helpline", "operations"], typer.Option(help="What they may do.")] = "helpline",
) -> None:
    """Make a link that signs a person in, once, within 24 hours. It is shown now and never again."""
    from services.intake.claims.actors import COMMAND_LINE
    from services.standalone import assembly
    from shared.access import audit
    from shared.access import people as access
    from shared.db.migrations import migrate

    settings = settings_of_client()

    async def make() -> str:
        async with assembly.database_for_command(settings) as database:
            await migrate(database, [assembly.ACCESS])
            async with database.transaction() as tx:
                token = await access.invite(tx, person_id=person, organisation_id=organisation, role=role)
                await audit.record(tx, COMMAND_LINE, action="person.invited", object_kind="person", object_id=person)
                return token

    base = settings.public_url or f"http://{settings.host}:{settings.port or assembly.PORTS['serve']}"
    say(f"{base.rstrip('/')}/desk/sign-in/{run(make())}")
    remark("Give it to that person alone: whoever opens it first is signed in as them. It works once, for 24 hours.")


@people.command("list")
def list_people(as_json: AsJson = False) -> None:
    """List everybody who has a key or may sign in."""
    from services.standalone import assembly
    from shared.access import people as access
    from shared.db.migrations import migrate

    async def read() -> list[Person]:
        async with assembly.database_for_command(settings_of_client()) as database:
            await migrate(database, [assembly.ACCESS])
            async with database.transaction() as tx:
                return await access.list_people(tx)

    found = run(read())
    if as_json:
        for one in found:
            say_json(asdict(one))
        return
    say_table(
        ("person", "organisation", "signs in as", "since (UTC)", "disabled (UTC)"),
        [(one.person_id, one.organisation_id, one.role or "-", one.created_at, one.disabled_at) for one in found],
        empty="There is nobody yet. `takedown people invite` adds somebody.",
    )


@people.command("disable")
def disable(
    person: PersonId,
    organisation: OrganisationId,
    suspend_content: Annotated[
        bool,
        typer.Option(
            "--suspend-content", help="Also suspend all content that rests on what they did at the desk alone."
        ),
    ] = False,
) -> None:
    """End a person's sessions at once, and let them sign in no more. Their keys stay: `takedown keys revoke` ends those."""
    from services.intake.claims.actors import COMMAND_LINE
    from services.standalone import assembly
    from shared.access import audit
    from shared.access import people as access
    from shared.db.migrations import migrate

    async def end() -> tuple[bool, int]:
        settings = settings_of_client()
        async with assembly.database_for_command(settings) as database:
            await migrate(database, assembly.schemas_of(settings))
            async with database.transaction() as tx:
                sessions = await access.sessions_of(tx, person_id=person, organisation_id=organisation)
                known = await access.disable(tx, person_id=person, organisation_id=organisation)
                if known:
                    await audit.record(
                        tx, COMMAND_LINE, action="person.disabled", object_kind="person", object_id=person
                    )
            stopped = 0
            if suspend_content:
                from services.intake.claims.keys import revoke_key_and_suspend

                for session in sessions:
                    stopped += len(await revoke_key_and_suspend(database, session))
            return known, stopped

    known, stopped = run(end())
    if not known:
        raise NoSuchPerson()
    said = f"{person} of {organisation} is signed out everywhere, and cannot sign in any more."
    say(said + (f" Content suspended: {stopped}." if suspend_content else ""))
