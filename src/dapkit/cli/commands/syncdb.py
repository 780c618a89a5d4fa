"""`dap syncdb`: updates of tables in a database."""

from typing import Any

import click

from dapkit.cli.options import HELP_NAMES, SectionedCommand, global_options, table_options
from dapkit.cli.sync_command import database_option, dry_run_option, load_options, run_sync
from dapkit.results import SyncCommand

EPILOG = """\b
Examples:
  dap syncdb --namespace canvas --table users,courses \\
      --connection-string duckdb:college.duckdb
  dap syncdb --namespace canvas --table all \\
      --connection-string postgresql://user:password@host/database
\b
A table that is not in the database is an error. dap initdb loads it; dap sync
does both, and takes a new snapshot where the service requires one.
"""


@click.command("syncdb", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@database_option
@load_options
@dry_run_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Update the tables in a database."""
    run_sync(context, SyncCommand.UPDATE, given)
