"""`negative-list`: known harmless hashes, over intake's API with an operations key."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from uuid import UUID

import typer

from services.standalone.terminal.output import (
    AsJson,
    in_words,
    intake,
    run,
    say,
    say_json,
    say_table,
    settings_of_client,
)

entries = typer.Typer(
    help="Hashes of images known to be harmless, such as blank images and placeholders.", no_args_is_help=True
)

EntryId = Annotated[
    UUID, typer.Argument(metavar="ENTRY", help="The id of the entry, as `takedown negative-list list` shows it.")
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(entries, name="negative-list")


@entries.command("add")
def add(
    algorithm: Annotated[str, typer.Argument(help="pdq, md5, sha1 or sha256.")],
    value: Annotated[str, typer.Argument(help="The hash in hexadecimal; - reads it from standard input.")],
    reason: Annotated[str, typer.Option(help="What the image shows, for the record. Please no URL and no name.")],
) -> None:
    """Declare a hash harmless. It takes effect once another person has confirmed it."""
    given = sys.stdin.readline().strip() if value == "-" else value
    found = _post("/v1/negative-list", {"algorithm": algorithm, "value": given, "reason": reason})
    say(f"{found['entry_id']} is waiting for another person to confirm it.")


@entries.command("confirm")
def confirm(entry_id: EntryId) -> None:
    """Confirm an entry that another person has declared."""
    _post(f"/v1/negative-list/{entry_id}/confirmation", {})
    say(f"Entry {entry_id} is confirmed.")


@entries.command("remove")
def remove(entry_id: EntryId) -> None:
    """Take an entry off the list."""
    _post(f"/v1/negative-list/{entry_id}/removal", {})
    say(f"Entry {entry_id} is removed.")


@entries.command("list")
def list_entries(as_json: AsJson = False) -> None:
    """List the entries, newest first. The hashes themselves are not shown."""

    async def read() -> list[dict[str, Any]]:
        async with intake(settings_of_client()) as api:
            return [item async for item in api.items("/v1/negative-list")]

    found = run(read())
    if as_json:
        for one in found:
            say_json(one)
        return
    say_table(
        ("entry", "state", "algorithm", "reference", "reason", "declared by", "confirmed by", "since (UTC)"),
        [
            (
                *(
                    one["entry_id"],
                    in_words(one["state"]),
                    one["algorithm"],
                    one["fingerprint_ref"][:12],
                    one["reason"],
                ),
                *(one["declared_by"], one["confirmed_by"], one["confirmed_at"] or one["created_at"]),
            )
            for one in found
        ],
        empty="The negative list is empty.",
    )


def _post(path: str, body: dict[str, str]) -> Any:
    async def send() -> Any:
        async with intake(settings_of_client()) as api:
            return await api.post(path, body)

    return run(send())
