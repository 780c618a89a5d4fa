"""The command's entry: a group that imports a command only when it runs, and the one place where errors end.

`dap --help` must stay quick: nothing here imports the HTTP library, the codec, duckdb or rich.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from typing import Any, NoReturn

import click

from dapkit import __version__
from dapkit.cli import bootstrap as entry
from dapkit.cli import stdio as streams
from dapkit.cli.exitcodes import BROKEN_PIPE
from dapkit.cli.options import HELP_NAMES, global_options, write_sections
from dapkit.errors import DapError, InternalError, InterruptedRunError, OutputError, UsageError

COMMANDS = {
    "snapshot": "Fetch full copies of tables.",
    "incremental": "Fetch what changed in tables since a time.",
    "sync": "Make a database equal to the service.",
    "initdb": "Bring tables into a database for the first time.",
    "syncdb": "Bring the tables of a database up to date.",
    "listdb": "List what a database holds, and how old it is.",
    "dropdb": "Drop tables from a database.",
    "reconcile": "Say whether a database holds exactly what the service holds.",
    "list": "List the tables of a namespace.",
    "schema": "Save the schemas of tables.",
    "verify": "Check again that fetched files are what came.",
    "doctor": "Find out what is wrong with credentials, network or disk.",
    "sandbox": "Serve the API in miniature, with synthetic data of real shape.",
}

EPILOG = """\b
Examples:
  dap --sandbox snapshot --namespace canvas --table courses
  dap snapshot --namespace canvas --table all --format parquet
  dap incremental --namespace canvas --table all --since downloads
  dap COMMAND --help
"""


class LazyGroup(click.Group):
    """The group of commands, each in a module of its own that is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002, click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002, as above
        """Import and return a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"dapkit.cli.commands.{cmd_name}")
        command: click.Command = module.command
        entry.begin()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest names."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(_no_such_command(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands first, then the options by section."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        write_sections(self, ctx, formatter)


def _no_such_command(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415, only after a slip

    near = get_close_matches(name.lower(), COMMANDS, n=2, cutoff=0.5)
    suffix = f" Did you mean {' or '.join(near)}?" if near else f" There are {', '.join(COMMANDS)}."
    return f"No such command '{name}'.{suffix}"


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings=HELP_NAMES,
    epilog=EPILOG,
    no_args_is_help=False,
)
@click.version_option(__version__, prog_name="dapkit", message="%(prog)s %(version)s")
@global_options
@click.pass_context
def dap(context: click.Context, /, **_given: Any) -> None:
    """Fetch Canvas data from Instructure's Data Access Platform: whole, checked, many tables at once."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors are told on stderr, never as a traceback."""
    as_json = wants_json(arguments)
    try:
        code = dap.main(list(arguments), prog_name="dap", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # click ends the process by itself only when the reader of our output went away.
        streams.give_up(sys.stdout)
        return BROKEN_PIPE
    except click.ClickException as error:
        return _tell(_usage(error), as_json=as_json)
    except DapError as error:
        return _tell(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return _tell(InterruptedRunError("Stopped.", hint="Run the command again."), as_json=as_json)
    except Exception as error:  # noqa: BLE001, the last resort: no traceback reaches a person
        return _tell(InternalError(f"Unexpected {type(error).__name__}: {_one_line(error)}"), as_json=as_json)
    return code if isinstance(code, int) else 0


def wants_json(arguments: Sequence[str]) -> bool:
    """Say whether errors are to be JSON, from the bare arguments, since parsing them may be what failed."""
    words = [word.lower() for word in arguments]
    return "--json" in words or "--logformat=json" in words or ("--logformat", "json") in pairwise(words)


def _usage(error: click.ClickException) -> DapError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "dap"
    return UsageError(error.format_message(), hint=f"See {path} --help.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or "no further words"


def _tell(error: DapError, *, as_json: bool) -> int:
    from dapkit.protocol.redaction import printable  # noqa: PLC0415, only after a failure

    if as_json:
        text = json.dumps(error.as_dict())
    else:
        place = f"{error.table}: " if error.table and error.table not in error.message else ""
        lines = [f"Error: {place}{error.message}"]
        if error.uuid:
            lines.append(f"uuid for support: {error.uuid}")
        if error.hint:
            lines.append(f"Hint: {error.hint}")
        text = "\n".join(printable(line) for line in lines)
    try:
        sys.stdout.flush()
    except (BrokenPipeError, OutputError):
        streams.give_up(sys.stdout)
    streams.say(text)
    return error.exit_code


def run() -> NoReturn:
    """Be the installed command."""
    streams.prepare()
    code = main(sys.argv[1:])
    if code == InterruptedRunError.exit_code:
        # Threads may still be at work, and an ordinary exit would wait for them; what they leave is never final.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
