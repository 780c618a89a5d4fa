"""`dap initdb`: the initial load of tables into a database."""

from typing import Any

import click

from dapkit.cli.options import HELP_NAMES, SectionedCommand, global_options, table_options
from dapkit.cli.sync_command import database_option, dry_run_option, load_options, repair_option, run_sync
from dapkit.results import SyncCommand

EPILOG = """\b
Examples:
  dap initdb --namespace canvas --table users,courses \\
      --connection-string duckdb:college.duckdb
  dap initdb --namespace canvas --table all \\
      --connection-string postgresql://user:password@host/database
\b
A table that is already in the database is an error. dap syncdb updates it;
dap sync does both.
"""


@click.command("initdb", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@database_option
@load_options
@repair_option
@dry_run_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Load tables into a database for the first time."""
    run_sync(context, SyncCommand.INIT, given)
