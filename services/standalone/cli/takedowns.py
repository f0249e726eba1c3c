"""`takedowns`: one takedown, decided on or looked at by a person, over the notifier's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import typer

from services.standalone.cli.cases import Decision, send_decision
from services.standalone.terminal.output import notifier, run, say, settings_of_client

takedowns = typer.Typer(help="Decide on one takedown, or say what you saw there.", no_args_is_help=True)

TakedownId = Annotated[
    UUID, typer.Argument(metavar="TAKEDOWN", help="The id of the takedown, as `takedown case` shows it.")
]


def add_to(app: typer.Typer) -> None:
    app.add_typer(takedowns, name="takedowns")


@takedowns.command("decide")
def decide(
    takedown_id: TakedownId,
    kind: Annotated[
        Decision,
        typer.Argument(
            metavar="DECISION", help="What you decide: reject, unreject, recheck, … docs/operations.md explains each."
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for the record. Please no URL and no name.")],
    recipient: Annotated[
        str | None, typer.Option(help="For reroute: the organisation to ask, by its key in the directory.")
    ] = None,
) -> None:
    """Decide on a takedown for which no task waits."""
    send_decision({"takedown_id": str(takedown_id), "kind": kind, "reason": reason}, recipient)
    say(f"Takedown {takedown_id}: {kind}.")


@takedowns.command("look")
def look(
    takedown_id: TakedownId,
    seen: Annotated[Literal["present", "gone"], typer.Argument(help="What you saw there.")],
    how: Annotated[
        Literal["browser", "signed_in", "other_country", "app", "other"], typer.Option(help="How you looked.")
    ] = "browser",
    seen_at: Annotated[datetime | None, typer.Option(help="When you looked (UTC); now, if you leave it out.")] = None,
) -> None:
    """Say what you saw where our checks see nothing. Present: another person then releases it. Gone: two looks, a day apart."""
    moment = datetime.now(UTC) if seen_at is None else seen_at.replace(tzinfo=UTC)
    body = {"seen": seen, "seen_at": moment.isoformat(), "how": how}

    async def send() -> None:
        async with notifier(settings_of_client()) as api:
            await api.post(f"/v1/takedowns/{takedown_id}/looks", body)

    run(send())
    say(f"Takedown {takedown_id}: seen {seen}.")
