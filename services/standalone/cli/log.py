"""`migrate`, `topics`, `dead-letters`: on the database and the log directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from services.standalone.terminal.output import AsJson, in_words, run, say, say_json, say_table, settings_of_client
from shared.errors import Permanent

if TYPE_CHECKING:
    from services.standalone.cli.dead_letters import ListedDeadLetter
    from shared.log.port import EventLog
    from shared.process.settings import Settings

# What touches the database or the log is imported when it is called: other commands start sooner.

topics = typer.Typer(help="Prepare the topics of the event log.", no_args_is_help=True)
letters = typer.Typer(help="See and replay events that could not be handled.", no_args_is_help=True)


class NotReplayed(Permanent):
    """The event was not handled this time either."""


def add_to(app: typer.Typer) -> None:
    app.command()(migrate)
    app.add_typer(topics, name="topics")
    app.add_typer(letters, name="dead-letters")


def migrate() -> None:
    """Bring the database up to date. `serve` and `demo` do this by themselves."""

    from services.standalone import assembly
    from shared.db.migrations import migrate as apply_migrations

    async def apply() -> list[str]:
        settings = settings_of_client()
        async with assembly.database_for_command(settings) as database:
            return await apply_migrations(database, assembly.schemas_of(settings))

    applied = run(apply())
    for name in applied:
        say(f"Applied {name}.")
    if not applied:
        say("The database is up to date already.")


@topics.command("ensure")
def ensure() -> None:
    """Create missing topics and update the settings of the others. `serve` and `demo` do this by themselves."""

    from shared.contracts.topics import TOPICS

    async def make() -> tuple[str, ...]:
        async with _log(settings_of_client()) as log:
            missing = await log.missing_topics(TOPICS)
            await log.ensure_topics(TOPICS)
            return missing

    for name in run(make()):
        say(f"Created {name}.")
    say(f"All {len(TOPICS)} topics are in place.")


@letters.command("list")
def list_dead_letters(as_json: AsJson = False) -> None:
    """List events that could not be handled and were not replayed since, oldest first."""

    from services.standalone.cli import dead_letters

    async def read() -> list[ListedDeadLetter]:
        async with _log(settings_of_client()) as log:
            return await dead_letters.read(log)

    found = [entry for entry in run(read()) if entry.outcome != "handled"]
    if as_json:
        for entry in found:
            say_json(entry.as_json())
        return
    say_table(
        ("dead letter", "since (UTC)", "group", "topic", "partition", "offset", "error", "replay"),
        [
            (
                *(entry.letter.dead_letter_id, entry.letter.at, entry.letter.group, entry.letter.topic),
                *(entry.letter.partition, entry.letter.offset, entry.letter.error, in_words(entry.outcome)),
            )
            for entry in found
        ],
        empty="There are no dead letters.",
    )


@letters.command("show")
def show(
    dead_letter_id: Annotated[
        UUID,
        typer.Argument(
            metavar="DEAD_LETTER", help="The id of the dead letter, as `takedown dead-letters list` shows it."
        ),
    ],
) -> None:
    """Show one dead letter as JSON. It says where the event is in the log, never what it contains."""

    from services.standalone.cli import dead_letters

    async def read() -> ListedDeadLetter:
        async with _log(settings_of_client()) as log:
            return await dead_letters.find(log, dead_letter_id)

    say_json(run(read()).as_json())


@letters.command("replay")
def replay(
    dead_letter_id: Annotated[
        UUID,
        typer.Argument(
            metavar="DEAD_LETTER", help="The id of the dead letter, as `takedown dead-letters list` shows it."
        ),
    ],
    person: Annotated[str, typer.Option(help="Your own id, such as p-1, for the record.")] = "operator",
    wait_seconds: Annotated[float, typer.Option(min=0, help="How many seconds to wait for the outcome.")] = 30.0,
) -> None:
    """Give the event once more to the service that could not handle it. That service must be running."""

    from services.standalone.cli import dead_letters

    async def ask() -> str:
        settings = settings_of_client()
        async with _log(settings) as log:
            await dead_letters.find(log, dead_letter_id)
        await _record_replay(settings, dead_letter_id, person)
        async with _log(settings) as log:
            return await dead_letters.ask_for_replay(
                log, dead_letter_id, requested_by=person, wait_seconds=wait_seconds
            )

    outcome = run(ask())
    if outcome != "handled":
        raise NotReplayed(dead_letters.said(outcome))
    say("The event is handled.")


async def _record_replay(settings: Settings, dead_letter_id: UUID, person: str) -> None:
    """The audit row, before anybody is asked. The log may be another server's, so the database is opened for it alone."""
    from services.intake.claims.actors import COMMAND_LINE
    from services.standalone import assembly
    from shared.access import audit
    from shared.db.migrations import migrate as apply_migrations

    async with assembly.database_for_command(settings) as database:
        await apply_migrations(database, [assembly.ACCESS])
        async with database.transaction() as tx:
            await audit.record(
                tx,
                replace(COMMAND_LINE, person_id=person),
                action="dead_letter.replayed",
                object_kind="dead_letter",
                object_id=dead_letter_id,
            )


@asynccontextmanager
async def _log(settings: Settings) -> AsyncIterator[EventLog]:
    """The event log; on PostgreSQL its tables are made where they are missing."""
    from services.standalone import assembly
    from shared.db.migrations import migrate as apply_migrations
    from shared.db.pool import Database
    from shared.db.wakeups import Wakeups
    from shared.log.postgres.log import SCHEMA as EVENTLOG

    if settings.log == "kafka":
        nowhere = Database("")  # never opened: a log on Kafka needs none
        async with _closing(assembly.open_log(settings, nowhere, Wakeups(nowhere))) as log:
            yield log
        return
    async with assembly.database_for_command(settings) as database:
        await apply_migrations(database, [EVENTLOG])
        async with _closing(assembly.open_log(settings, database, Wakeups(database))) as log:
            yield log


@asynccontextmanager
async def _closing(log: EventLog) -> AsyncIterator[EventLog]:
    try:
        yield log
    finally:
        await log.close()
