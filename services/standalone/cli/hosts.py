"""`hosts`, `outbound`: the directory and the switch of everything that leaves, over the notifier's API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from services.standalone.terminal.output import (
    AsJson,
    cell,
    in_words,
    notifier,
    remark,
    run,
    say,
    say_json,
    say_table,
    settings_of_client,
)
from shared.errors import Permanent

hosts = typer.Typer(help="The directory of hosts: whom to ask, and how they are reached.", no_args_is_help=True)


class TestFailed(Permanent):
    """The test message did not arrive."""


def add_to(app: typer.Typer) -> None:
    app.add_typer(hosts, name="hosts")
    app.command()(outbound)


@hosts.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A CSV file with a header (docs/operations.md lists the columns); - reads standard input.",
        ),
    ],
) -> None:
    """Import the directory from a CSV file, all of it or nothing. Importing the same file again changes nothing."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "It is not UTF-8; save it as UTF-8."
        raise typer.BadParameter(f"{file} cannot be read: {why}") from None

    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            return await api.post_text("/v1/hosts", text, content_type="text/csv")

    done = run(send())
    say("Imported: " + ", ".join(f"{count} {what}" for what, count in done.items()) + ".")


@hosts.command("list")
def list_hosts(as_json: AsJson = False) -> None:
    """List the directory. Secrets are not shown."""
    listed = run(_directory())
    found = listed["items"]
    if as_json:
        for host in found:
            say_json(host)
        return
    say_table(
        ("organisation", "domains", "rung", "reached by", "next rung", "posture", "bound by", "country", "held"),
        [
            (
                *(host.get("organisation"), host.get("domains"), in_words(host.get("rung")), _reached_by(host)),
                *(
                    host.get("next_rung"),
                    host.get("posture"),
                    host.get("bound_by"),
                    host.get("country"),
                    host.get("held"),
                ),
            )
            for host in found
        ],
        empty="The directory is empty. `takedown hosts import FILE` fills it.",
    )
    if listed["holds"]:  # also of what is no domain of an organisation
        say(f"On hold: {' '.join(listed['holds'])}")


def _reached_by(host: dict[str, Any]) -> str:
    return " ".join(name for name, field in (("webhook", "webhook_url"), ("e-mail", "email")) if host.get(field))


@hosts.command("test")
def test(
    organisation: Annotated[
        str, typer.Argument(metavar="ORGANISATION", help="The key of the organisation in the directory.")
    ],
) -> None:
    """Send a test message (host.test) and show what came back."""

    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            return await api.post(f"/v1/hosts/{organisation}/test")

    answer = run(send())
    if answer["outcome"] != "accepted":
        raise TestFailed(_why(answer))
    say(f"The test message was delivered by {CHANNELS.get(answer['channel'], answer['channel'])}.")


@hosts.command("hold")
def hold(
    domain: Annotated[
        str, typer.Argument(help="A domain, with everything under it: of somebody we write to, or of a target.")
    ],
) -> None:
    """Send nothing to this domain, and nothing about it, until it is released. Checks go on."""
    _hold(domain, "hold")


@hosts.command("release")
def release(domain: Annotated[str, typer.Argument(help="A domain that is on hold.")]) -> None:
    """End the hold on a domain."""
    _hold(domain, "release")


def _hold(domain: str, what: Literal["hold", "release"]) -> None:
    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            return await api.post(f"/v1/hosts/{domain}/{what}")

    answer = run(send())
    say(f"{domain} is {'on hold' if what == 'hold' else 'released'}.")
    if answer.get("known") is False:
        remark("No organisation of the directory and no takedown is at this domain. If it is misspelt, release it.")


def outbound(
    switch: Annotated[
        Literal["on", "off"] | None, typer.Argument(help="Leave it out to see whether messages are sent.")
    ] = None,
) -> None:
    """Turn the sending of messages on or off; `off` stops all of it within a second. Checks go on either way."""

    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            if switch is not None:
                await api.post("/v1/outbound", {"on": switch == "on"})
            return await api.get("/v1/outbound")

    say("Outbound is on." if run(send()).get("on") else "Outbound is off: no message leaves.")


CHANNELS = {"webhook": "webhook", "email": "e-mail"}


def _why(answer: dict[str, Any]) -> str:
    """What a failed test says of itself, and what to do about it."""
    channel = CHANNELS.get(answer["channel"], str(answer["channel"]))
    if answer["reason"] == "no_mail":
        return "This organisation is reached by e-mail, and TAKEDOWN_SMTP_HOST is not set. Set it and start the service again."
    if answer.get("status"):
        return f"The {channel} answered {cell(answer['status'])}. Ask the organisation to check its address and its secret."
    return f"By {channel}: {in_words(cell(answer['reason']))}. Check the address in the directory."


async def _directory() -> Any:
    async with notifier(settings_of_client()) as api:
        return await api.get("/v1/hosts")
