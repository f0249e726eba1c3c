"""`case`, `content`, `tasks`: what staff ask and decide, over the services' APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from services.standalone.terminal.output import (
    AsJson,
    in_words,
    intake,
    notifier,
    run,
    say,
    say_json,
    say_table,
    settings_of_client,
)
from services.standalone.terminal.tasks import waiting
from shared.clock import system_clock
from shared.errors import Permanent

if TYPE_CHECKING:
    from services.console.case_facts import CaseFacts

content = typer.Typer(help="Suspend or resume content.", no_args_is_help=True)
tasks = typer.Typer(help="See and resolve what is waiting for a person.", no_args_is_help=True)

Decision = Literal[
    "release",
    "reject",
    "unreject",
    "reroute",
    "recheck",
    "escalate",
    "dismiss",
    "suspend",
    "resume",
    "bounced",
    "stop_fetching",
    "resume_fetching",
    "hold",
]
"""The kinds of decisions (`DecisionKind`), written out here: help needs no model of an event."""


LINK_COLUMNS = ("link", "now", "what happens next", "takedown")


class NoSuchCase(Permanent):
    """Your organisation has no case with this reference. Check that it is written exactly as it was given."""


class CaseEnded(Permanent):
    """This case has ended."""

    def __str__(self) -> str:
        return self.detail


def add_to(app: typer.Typer) -> None:
    app.command()(case)
    app.add_typer(content, name="content")
    app.add_typer(tasks, name="tasks")


def case(
    case_ref: Annotated[str, typer.Argument(metavar="REFERENCE", help="Your case reference, such as EH-000123.")],
    as_json: AsJson = False,
) -> None:
    """Show what has become of a case, in the words of the desk: its pictures, and each link."""
    facts = run(_case(case_ref))
    now = system_clock()
    if as_json:
        say_json(
            {
                **facts.case,
                "told": facts.told(now),
                "claims": facts.claims,
                "takedowns": facts.takedowns,
                "reports": facts.reports,
            }
        )
        return
    for sentence in facts.told(now):
        say(sentence)
    for claim in facts.claims:
        say(f"Claim {claim['claim_id']}: {in_words(claim['state'])}. Content {claim['content_id']}.")
    say_table(
        LINK_COLUMNS,
        [(line.url or line.site, line.now, line.next, line.takedown_id) for line in facts.lines],
        empty="No copy has been found so far.",
    )


async def _case(case_ref: str) -> CaseFacts:
    from services.console.case_facts import facts_of_case, find_case, how_it_ended
    from services.console.case_words import ended

    settings = settings_of_client()
    async with intake(settings) as cases_api, notifier(settings) as takedowns_api:
        found = await find_case(cases_api, case_ref)
        if found is None:
            told = await how_it_ended(cases_api, case_ref)
            if told is None:
                raise NoSuchCase()
            raise CaseEnded(ended(told["reason"], told["ended_at"]))
        return await facts_of_case(cases_api, takedowns_api, found)


@content.command("suspend")
def suspend(
    content_id: Annotated[
        UUID, typer.Argument(metavar="CONTENT", help="The content_id of the claim, as `takedown case` shows it.")
    ],
    reason: Annotated[
        Literal["person", "possible_minor"],
        typer.Option(help="Why. After possible_minor only operations staff can resume it."),
    ] = "person",
) -> None:
    """Stop everything about this content at once: fetches, checks and demands. `resume` undoes it."""
    _switch(content_id, "suspension", {"reason": reason})
    say(f"Content {content_id} is suspended.")


@content.command("resume")
def resume(
    content_id: Annotated[
        UUID, typer.Argument(metavar="CONTENT", help="The content_id of the claim, as `takedown case` shows it.")
    ],
) -> None:
    """Go on with suspended content."""
    _switch(content_id, "resumption", {})
    say(f"Content {content_id} is resumed.")


def _switch(content_id: UUID, what: str, body: dict[str, str]) -> None:
    async def send() -> None:
        async with intake(settings_of_client()) as api:
            await api.post(f"/v1/content/{content_id}/{what}", body)

    run(send())


@tasks.command("list")
def list_tasks(
    kind: Annotated[str | None, typer.Option(help="Only tasks of this kind, such as dispute or unknown_host.")] = None,
    as_json: AsJson = False,
) -> None:
    """List open tasks, oldest first."""

    async def read() -> list[dict[str, Any]]:
        async with notifier(settings_of_client()) as api:
            return [item async for item in api.items("/v1/tasks", kind=kind)]

    found = run(read())
    if as_json:
        for task in found:
            say_json(task)
        return
    say_table(
        ("task", "why it waits", "reason", "takedown", "for", "due (UTC)"),
        [
            (
                *(task["task_id"], waiting(task["kind"]), in_words(task["reason"])),
                *(task.get("takedown_id"), task["owner"], task["due_at"]),
            )
            for task in found
        ],
        empty="Nothing is waiting for a person.",
    )


@tasks.command("resolve")
def resolve(
    task_id: Annotated[
        UUID, typer.Argument(metavar="TASK", help="The id of the task, as `takedown tasks list` shows it.")
    ],
    kind: Annotated[
        Decision,
        typer.Argument(
            metavar="DECISION",
            help="What you decide. reject and dismiss end the takedown; docs/operations.md explains each.",
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for the record. Please no URL and no name.")],
    recipient: Annotated[
        str | None, typer.Option(help="For reroute: the organisation to ask, by its key in the directory.")
    ] = None,
) -> None:
    """Resolve a task with a decision."""
    send_decision({"task_id": str(task_id), "kind": kind, "reason": reason}, recipient)
    say(f"Task {task_id} is resolved: {kind}.")


def send_decision(body: dict[str, str], recipient: str | None) -> None:
    """Take a decision; `body` names what it is about. `recipient`: of a reroute."""
    if recipient is not None:
        body["recipient"] = recipient

    async def send() -> None:
        async with notifier(settings_of_client()) as api:
            await api.post("/v1/decisions", body)

    run(send())
