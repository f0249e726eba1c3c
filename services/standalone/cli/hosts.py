"""`hosts`, `outbound`: the directory and the switch of everything that leaves, over the notifier's API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from services.standalone.terminal.output import (
    AsJson,
    cell,
    notifier,
    run,
    say,
    say_json,
    say_table,
    settings_of_client,
)
from shared.errors import Permanent

hosts = typer.Typer(help="The directory of hosts: import, list, test, hold, release.", no_args_is_help=True)


class TestFailed(Permanent):
    """The test message was not accepted."""


def add_to(app: typer.Typer) -> None:
    app.add_typer(hosts, name="hosts")
    app.command()(outbound)


@hosts.command("import")
def import_(file: Annotated[Path, typer.Argument(help="CSV with a header; - for standard input.")]) -> None:
    """Import the directory from CSV: whole or not at all. Importing it again changes nothing."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None

    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            return await api.post_text("/v1/hosts", text, content_type="text/csv")

    done = run(send())
    say(", ".join(f"{count} {what}" for what, count in done.items()) if isinstance(done, dict) else "imported")


@hosts.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the directory, without secrets."""
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
                *(host.get("organisation"), host.get("domains"), host.get("rung"), _reached_by(host)),
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
        empty="The directory is empty.",
    )
    if listed["holds"]:  # also of what is no domain of an organisation
        say(f"On hold: {' '.join(listed['holds'])}")


def _reached_by(host: dict[str, Any]) -> str:
    return " ".join(name for name, field in (("webhook", "webhook_url"), ("e-mail", "email")) if host.get(field))


@hosts.command("test")
def test(organisation: Annotated[str, typer.Argument(help="The organisation's key in the directory.")]) -> None:
    """Send a `host.test` message and say what came back."""

    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            return await api.post(f"/v1/hosts/{organisation}/test")

    answer = run(send())
    if answer["outcome"] != "accepted":
        why = answer.get("status") or answer["reason"]
        raise TestFailed(
            f"By {answer['channel']}: {'TAKEDOWN_SMTP_HOST is not set' if why == 'no_mail' else cell(why)}."
        )
    say(f"delivered by {answer['channel']}")


@hosts.command("hold")
def hold(
    domain: Annotated[str, typer.Argument(help="A domain, with all under it: of a recipient, or of a target.")],
) -> None:
    """Send nothing to this domain until it is released. Checks go on."""
    _hold(domain, "hold")


@hosts.command("release")
def release(domain: Annotated[str, typer.Argument(help="A domain that is held.")]) -> None:
    """Send to this domain again."""
    _hold(domain, "release")


def _hold(domain: str, what: Literal["hold", "release"]) -> None:
    async def send() -> None:
        async with notifier(settings_of_client()) as api:
            await api.post(f"/v1/hosts/{domain}/{what}")

    run(send())
    say(f"{domain} is {'held' if what == 'hold' else 'released'}.")


def outbound(
    switch: Annotated[Literal["on", "off"] | None, typer.Argument(help="Nothing: say how it stands.")] = None,
) -> None:
    """Let messages leave, or stop them all within a second. Checks go on."""

    async def send() -> Any:
        async with notifier(settings_of_client()) as api:
            if switch is not None:
                await api.post("/v1/outbound", {"on": switch == "on"})
            return await api.get("/v1/outbound")

    say(f"outbound is {'on' if run(send()).get('on') else 'off'}")


async def _directory() -> Any:
    async with notifier(settings_of_client()) as api:
        return await api.get("/v1/hosts")
