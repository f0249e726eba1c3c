"""The program `takedown`. Exit codes: 0; 1 failed; 2 bad usage or settings; 130 interrupted. A failure is one line on stderr, never a
traceback."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from services.standalone.cli import access, cases, hosts, log, negative_list, people, takedowns
from services.standalone.cli import run as commands_run
from services.standalone.terminal.output import complain, say
from shared.errors import TakedownError

FAILED = 1
BAD_USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    name="takedown",
    help="Takedown: from an image that people have confirmed to its confirmed removal.\n\n"
    "New here? `takedown demo` shows it at work; docs/operations.md explains how to run it. Settings are environment variables"
    " that begin with TAKEDOWN_, or a TOML file that TAKEDOWN_CONFIG names.\n\n"
    "Exit codes: 0 success, 1 failure, 2 wrong usage or settings, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # no other command needs it

        say(version("takedown"))
        raise typer.Exit


@app.callback()
def program(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


commands_run.add_to(app)
cases.add_to(app)
takedowns.add_to(app)
hosts.add_to(app)
access.add_to(app)
people.add_to(app)
negative_list.add_to(app)
log.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="takedown", standalone_mode=False)
    except typer.TyperException as error:
        text = _said(error)
        if text:  # a group without a command has shown its help instead
            complain(f"{text.rstrip('.')}. Run `{_path_of(error)} --help` to see how it is used.")
        return error.exit_code
    except TakedownError as error:
        complain(str(error))
        return BAD_USAGE if error.of_the_settings else FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    return code if isinstance(code, int) else 0


def _said(error: typer.TyperException) -> str:
    """The sentence for what is wrong with the call. Typer reads values with pydantic, whose errors are said in our words."""
    cause: Any = error.__cause__
    if hasattr(cause, "errors"):
        from shared.field_errors import field_errors

        error.message = field_errors(cause)[0].text
    return error.format_message()


def _path_of(error: typer.TyperException) -> str:
    """The command that was called wrongly: `takedown keys create`."""
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "takedown"


def main() -> None:
    # A command's imports make many objects and no garbage: collecting as often as by default is a tenth of a start.
    gc.set_threshold(50_000, 20, 20)
    sys.exit(run(sys.argv[1:]))
