"""`dap dropdb`: tables taken out of a database."""

from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.database import connection_string_option, is_terminal, target_from
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
from dapkit.cli.wording import count, names
from dapkit.engine.replication.books import drop_tables
from dapkit.engine.tables import split_tables
from dapkit.errors import InterruptedRunError

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
        result = drop_tables(target, given["namespace"], wanted, unbooked=given["yes"])
        if settings.messages.json:
            dropped = list(result.dropped)
            console.json_result({"command": "dropdb", "exit_code": 0, "target": result.target, "dropped": dropped})
        console.tell([f"{count(len(result.dropped), 'table')} dropped from {result.target}."])
