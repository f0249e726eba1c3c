"""What the demo says at its end, to who stays: where to look, and as whom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from services.standalone.demo.clients import ORGANISATION, Clients
from shared.access.people import invite
from shared.db.pool import Database

if TYPE_CHECKING:
    from rich.console import Console

AT_THE_DESK = ("helpline-a", "helpline-b")
"""Two people of the helpline: what one declares, the other can confirm."""


async def say_how_to_look(console: Console, database: Database, base_url: str, client: Clients) -> None:
    """Print the desk's address with a link to sign in for each person, and commands with their keys."""
    async with database.transaction() as tx:
        links = {
            person: await invite(tx, person_id=person, organisation_id=ORGANISATION, role="helpline")
            for person in AT_THE_DESK
        }
    console.print(
        f"\nIt stays up. The desk of the helpline is {base_url}/desk; each of these links signs one person in, once (use two browsers,"
        " or a private window). Open case DEMO-00001 there:"
    )
    for person, token in links.items():
        console.print(f"  {person}: {base_url}/desk/sign-in/{token}", soft_wrap=True)
    where = f"TAKEDOWN_NOTIFIER_URL={base_url} TAKEDOWN_INTAKE_URL={base_url}"
    console.print("From another terminal, try what operations staff see:")
    for person, command in (("operations", "watch"), ("operations", "tasks list"), ("helpline-a", "case DEMO-00001")):
        console.print(f"  {where} TAKEDOWN_KEY={client.keys[person]} {_program()} {command}", soft_wrap=True)
    console.print("Ctrl-C ends it.")


def _program() -> str:
    """How this program is called."""
    return sys.argv[0] if Path(sys.argv[0]).name == "takedown" else "takedown"
