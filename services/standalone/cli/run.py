"""`serve`, `intake`, `matcher`, `notifier`, `console`, `demo`, `watch`, `openapi`: what runs for long, and the API's description."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.standalone.terminal.output import run, say, settings_of_client, settings_of_command

if TYPE_CHECKING:
    from shared.process.settings import Settings

# What a command runs is imported when it is called: the others start sooner.


def add_to(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(intake)
    app.command()(matcher)
    app.command()(notifier)
    app.command()(console)
    app.command()(demo)
    app.command()(watch)
    app.command()(openapi)


def serve() -> None:
    """Run all services in one process. PostgreSQL comes with it; TAKEDOWN_DATABASE names another one."""
    from services.standalone.serve import serve as serve_all

    run(serve_all(settings_of_command()))


def intake() -> None:
    """Run only intake: it takes claims, sightings and reports."""
    _serve_one("intake")


def matcher() -> None:
    """Run only the matcher: it compares sightings with the register."""
    _serve_one("matcher")


def notifier() -> None:
    """Run only the notifier: it checks targets, sends demands and takes the answers of hosts."""
    _serve_one("notifier")


def console() -> None:
    """Run only the console: the desk of helpline staff, web pages over the APIs of the other services."""
    _serve_one("console")


def _serve_one(name: str) -> None:
    from services.standalone.serve import serve_one

    run(serve_one(name, settings_of_command()))


def demo(
    log: Annotated[
        Literal["postgres", "kafka"], typer.Option(help="The event log to use; kafka starts a local Apache Kafka.")
    ] = "postgres",
    exit_: Annotated[bool, typer.Option("--exit", help="Exit after the final table instead of staying up.")] = False,
    log_file: Annotated[Path | None, typer.Option(help="Write the log to this file and keep it.")] = None,
) -> None:
    """Show everything at work on a small internet on this machine. Exits with 0 when every scenario ends as expected."""
    from shared.process.extras import require

    require("demo")
    if log == "kafka":
        require("kafka-local")
    from services.standalone.demo.run import run_demo

    code = run(
        run_demo(log=log, stay=sys.stdout.isatty() and not exit_, log_file=log_file, browser=_browser_settings())
    )
    raise typer.Exit(code)


def _browser_settings() -> dict[str, str]:
    """The only settings of the environment that the demo heeds."""
    names = {"browser": "TAKEDOWN_BROWSER", "browser_sandbox": "TAKEDOWN_BROWSER_SANDBOX"}
    return {field: os.environ[name] for field, name in names.items() if os.environ.get(name)}


def watch(
    interval_seconds: Annotated[float, typer.Option(min=0.2, help="Seconds between two updates.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print the table once and exit.")] = False,
) -> None:
    """Show a live table of the takedowns, and how many tasks are open. Ctrl-C ends it."""
    from services.standalone.terminal.watch import watch as watch_all

    with contextlib.suppress(KeyboardInterrupt):  # the way to end it
        run(watch_all(settings_of_client(), interval_seconds=interval_seconds, once=once))


def openapi(
    service: Annotated[
        Literal["all", "intake", "notifier"], typer.Argument(help="The service whose API to describe.")
    ] = "all",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file instead of the terminal.")
    ] = None,
) -> None:
    """Print the description of the HTTP API (OpenAPI)."""
    text = run(_description(settings_of_client(), service))
    if output is None:
        say(text)
    else:
        output.write_text(text + "\n")


async def _description(settings: Settings, service: str) -> str:
    from services.standalone import assembly
    from shared.db.pool import Database
    from shared.service.app import create_app

    names = assembly.NAMES if service == "all" else (service,)
    # Nothing is opened, and no key is needed: any will do for routes that nobody calls.
    settings = settings.model_copy(update={"root_key": "00" * 32, "log": "postgres"})
    runtime = assembly.with_outbound(assembly.build_runtime(settings, Database(""), create_root_key=False))
    app = create_app(runtime, assembly.create_services(runtime, names))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False)
