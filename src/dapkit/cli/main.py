"""The group of commands, each imported only when it runs, and the one place where errors are printed.

`dap --help` must stay fast: nothing here imports the HTTP library, msgspec, duckdb or rich.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import click

from dapkit import __version__
from dapkit.cli import stdio
from dapkit.cli.error_text import error_text
from dapkit.cli.exitcodes import BROKEN_PIPE
from dapkit.cli.invocation import Invocation, error_format
from dapkit.cli.json_lines import common_fields
from dapkit.cli.options import HELP_NAMES, global_options, help_sections
from dapkit.errors import DapError, InternalError, InterruptedRunError, OutputError, UsageError
from dapkit.protocol.redaction import excerpt

COMMANDS = {
    "snapshot": "Download full copies of tables.",
    "incremental": "Download the changes of tables since a time.",
    "flatten": "Write flat tables from the raw results in a folder.",
    "sql": "Query tables with SQL, in DuckDB's dialect.",
    "sync": "Load tables into a database and keep them up to date.",
    "initdb": "Load tables into a database for the first time.",
    "syncdb": "Update the tables in a database.",
    "listdb": "List the tables in a database and the age of their data.",
    "dropdb": "Drop tables from a database.",
    "reconcile": "Check whether a database matches the service exactly.",
    "list": "List the tables of a namespace.",
    "schema": "Save the JSON Schemas of tables.",
    "describe": "Describe tables: columns, types, meanings, keys and relations.",
    "results": "List the results in a folder.",
    "verify": "Verify downloaded files against their manifests.",
    "prune": "Delete results that are no longer needed.",
    "doctor": "Check credentials, network, clock and disk.",
    "sandbox": "Run the sandbox as a server.",
}

EPILOG = """\b
Examples:
  dap --sandbox snapshot --namespace canvas --table courses
  dap snapshot --namespace canvas --table all --format parquet
  dap incremental --namespace canvas --table all --since downloads
  dap COMMAND --help
"""


_OTHER_NAMES = {"--then": "--until"}
"""Options that some guides name, and what they are called."""


class LazyGroup(click.Group):
    """The group of commands; the module of a command is imported when the command is used.

    The context's object, if there is one, is the `Invocation`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002, click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"dapkit.cli.commands.{cmd_name}")
        command: click.Command = module.command
        # The imports are done: from here on, Ctrl-C has to clean up.
        if ctx.obj is not None:
            ctx.obj.on_start()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one, suggest similar names."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(_no_such_command(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then all options by section."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        for title, records in help_sections(self, ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)


def _no_such_command(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415, only after a typo

    near = get_close_matches(name.lower(), COMMANDS, n=2, cutoff=0.5)
    suffix = f" Did you mean {' or '.join(near)}?" if near else f" Commands: {', '.join(COMMANDS)}."
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
    """Download Canvas data from Instructure's Data Access Platform into files and databases."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str], on_start: Callable[[], None] | None = None) -> int:
    """Run one command and return its exit code. Errors are printed to stderr, never as a traceback.

    `on_start` is called when imports are done and the command starts.
    """
    run_id = os.urandom(8).hex()
    call = Invocation(
        run_id=run_id,
        on_start=on_start or (lambda: None),
        error_format=error_format(arguments),
        log_fields=common_fields(run_id),
    )
    try:
        code = dap.main(list(arguments), prog_name="dap", standalone_mode=False, obj=call)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Without this, the interpreter would try to flush stdout once more at exit, and complain.
        # click raises SystemExit only if the reader of our output has ended.
        stdio.discard(sys.stdout)
        return BROKEN_PIPE
    except click.ClickException as error:
        return _print_error(_usage(error), call)
    except DapError as error:
        return _print_error(error, call)
    except (KeyboardInterrupt, click.Abort):
        return _print_error(InterruptedRunError("Stopped", hint="Run the command again."), call)
    except Exception as error:  # noqa: BLE001, a person never sees a traceback
        return _print_error(InternalError(f"Unexpected {type(error).__name__}: {_one_line(error)}"), call)
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException) -> DapError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "dap"
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name in _OTHER_NAMES:
        message = f"{error.message} Did you mean {_OTHER_NAMES[error.option_name]}?"
    return UsageError(message, hint=f"See {path} --help.")


def _one_line(error: Exception) -> str:
    return excerpt(str(error), 300) or "no details"  # another library may quote a secret


def _print_error(error: DapError, call: Invocation) -> int:
    # What was printed so far comes first, even if both streams go to the same place.
    try:
        sys.stdout.flush()
    except (BrokenPipeError, OutputError):
        stdio.discard(sys.stdout)
    stdio.write_error(error_text(error, call.error_format, call.log_fields, time.time()))
    return error.exit_code


def run(on_start: Callable[[], None] | None = None) -> NoReturn:
    """Run the installed command; `on_start` as for `main`."""
    stdio.prepare()
    code = main(sys.argv[1:], on_start)
    if code == InterruptedRunError.exit_code:
        # An ordinary exit would wait for worker threads. Ending them is safe: what they write has no final name yet.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
