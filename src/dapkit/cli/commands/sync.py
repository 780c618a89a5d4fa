"""`dap sync`: tables loaded into a database and kept up to date."""

from typing import Any

import click

from dapkit.cli.options import HELP_NAMES, SectionedCommand, global_options, option, table_options
from dapkit.cli.parameters import duration
from dapkit.cli.sync_command import database_option, dry_run_option, load_options, repair_option, run_sync
from dapkit.results import SyncCommand

EPILOG = """\b
Examples:
  dap sync --namespace canvas --table all \\
      --to postgresql://user:password@host/database
  dap --sandbox sync --namespace canvas --table all --to duckdb:college.duckdb
\b
Run it as often as you like: each run continues from the last one. Where the
service requires it, a new snapshot is merged into the table.
"""


@click.command("sync", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@database_option
@option("--if-stale", callback=duration, metavar="AGE", help="Skip tables updated more recently than this, such as 4h.")
@option(
    "--expire-logs",
    callback=duration,
    metavar="AGE",
    help="Delete rows of canvas_logs older than this, at least 31d.",
)
@load_options
@repair_option
@dry_run_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Load tables into a database and keep them up to date."""
    run_sync(context, SyncCommand.SYNC, given)
