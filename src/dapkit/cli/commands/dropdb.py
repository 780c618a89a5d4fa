"""`dap dropdb`: tables dropped from a database."""

import sys
from typing import Any

import click

from dapkit.cli.console import Console
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
from dapkit.cli.parameters import table_names
from dapkit.cli.summary import Report, count_fields, failed_objects, unexplained
from dapkit.cli.sync_command import database_option
from dapkit.config.settings import database_url
from dapkit.errors import InterruptedRunError, NotReplicatedError, UsageError
from dapkit.formatting import count, names
from dapkit.replication.managed_tables import DropResult, drop_tables
from dapkit.targets.registry import target_of

EPILOG = """\b
Examples:
  dap dropdb --namespace canvas --table 'quiz*' \\
      --connection-string duckdb:college.duckdb
  dap dropdb --namespace canvas --table courses \\
      --connection-string postgresql://user:password@host/database
\b
Patterns and all select only tables managed by dapkit. A table that is not
managed, for example after an interrupted load, is dropped only if you name it
and use --include-unmanaged. No credentials are needed.
"""


@click.command("dropdb", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@namespace_option
@option(
    "--table",
    "tables",
    required=True,
    multiple=True,
    metavar="NAMES",
    callback=table_names,
    help="Tables to drop: names, patterns, or all.",
)
@database_option
@flag("--yes", help="Do not ask.")
@flag("--include-unmanaged", help="Also drop tables that you name and that dapkit does not manage.")
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Drop tables from a database.

    This also removes their sync state, and the enum types and lookup tables that were created for them.
    """
    settings = settings_of(context)
    target, tables = target_of(database_url(given["to"])), given["tables"]
    # Scripts are not asked: they have no terminal, or use --non-interactive, as with the official client.
    if is_terminal() and not settings.messages.non_interactive and not given["yes"]:
        if settings.messages.log_format == "json":
            raise UsageError("With --logformat json, no question can be asked", hint="Add --yes to drop the tables.")
        question = f"Drop {names(tables)} of {given['namespace']} from {target.name}?"
        if not click.confirm(question, err=True):
            raise InterruptedRunError("Nothing was dropped", hint="Use --yes to drop tables without confirmation.")
    with Console(settings.messages) as console:
        try:
            result = drop_tables(target, given["namespace"], tables, include_unmanaged=given["include_unmanaged"])
        except NotReplicatedError as not_managed:
            if not_managed.hint == NotReplicatedError.default_hint:  # which is about loading
                not_managed.hint = "Nothing was dropped. `dap listdb` lists the tables that are managed by dapkit."
            raise
        error = result.error
        if settings.messages.json:
            console.json_result(
                {
                    "command": "dropdb",
                    "exit_code": error.exit_code if error else 0,
                    "target": result.target,
                    "dropped": list(result.done),
                    "failed": failed_objects(result.failed),
                }
            )
        for failure in result.failed:
            console.on_event(failure)
        console.report(drop_report(result))
    if error is not None:
        raise error


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def drop_report(result: DropResult) -> Report:
    """Return the report; the dropped tables are named if others failed."""
    which = f": {names(result.done)}" if result.done and result.failed else ""
    return Report(
        totals=f"{count(len(result.done), 'table')} dropped from {result.target}{which}",
        failed=unexplained(len(result.done), result.failed),
        fields=count_fields(result.done, result.failed),
    )
