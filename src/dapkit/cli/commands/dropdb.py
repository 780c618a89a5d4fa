"""`dap dropdb`: tables taken out of a database."""

from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.exitcodes import error_of
from dapkit.cli.formatting import count, names
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    flag,
    global_options,
    json_option,
    namespace_option,
    option,
    settings_of,
)
from dapkit.cli.summary import failure_lines
from dapkit.cli.sync_command import connection_string_option, is_terminal, target_from
from dapkit.errors import InterruptedRunError
from dapkit.export.selection import split_tables
from dapkit.replication.managed_tables import DropResult, drop_tables

EPILOG = """\b
Examples:
  dap dropdb --namespace canvas --table 'quiz*' --connection-string duckdb:college.duckdb
  dap dropdb --namespace canvas --table courses --connection-string postgresql://user:password@host/database
\b
Patterns and all mean tables on the books. One that is there without being on them (a load broke off) is
dropped if it is named and --yes is given. No credentials are needed.
"""


@click.command("dropdb", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@namespace_option
@option("--table", required=True, multiple=True, metavar="NAMES", help="Tables to drop: names, patterns, or all.")
@connection_string_option
@flag("--yes", help="Do not ask, and drop tables too that are named and not on the books.")
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Drop tables from a database.

    They are taken off its books, with the enum types and lookup tables that were made for them.
    """
    settings = settings_of(context)
    target = target_from(given, settings.connection.environ)
    wanted = split_tables(given["table"])
    if is_terminal() and settings.messages.interactive and not given["yes"]:
        question = f"Drop {names(wanted)} of {given['namespace']} from {target.name}?"
        if not click.confirm(question, err=True):
            raise InterruptedRunError("Nothing was dropped.", hint="Use --yes to drop without being asked.")
    with Console(settings.messages) as console:
        result = drop_tables(target, given["namespace"], wanted, include_unmanaged=given["yes"])
        error = error_of(len(result.dropped), result.failed)
        if settings.messages.json:
            console.json_result(
                {
                    "command": "dropdb",
                    "exit_code": error.exit_code if error else 0,
                    "target": result.target,
                    "dropped": list(result.dropped),
                    "failed": [{**failure.error.as_dict(), "table": failure.table} for failure in result.failed],
                }
            )
        console.tell(lines(result), failed=bool(result.failed))
    if error is not None:
        raise error


def lines(result: DropResult) -> list[str]:
    """Return the outcome for people; when not all went, which did."""
    which = f": {names(result.dropped)}" if result.dropped and result.failed else ""
    told = [line for failure in result.failed for line in failure_lines(failure)]
    return [*told, f"{count(len(result.dropped), 'table')} dropped from {result.target}{which}."]
