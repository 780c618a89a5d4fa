"""`dap sync`: a database made equal to the service, whatever state either is in."""

from typing import Any

import click

from dapkit.cli.options import HELP_NAMES, SectionedCommand, global_options, option, table_options
from dapkit.cli.sync_command import dry_run_option, load_options, repair_option, run_replication
from dapkit.results import SyncCommand

EPILOG = """\b
Examples:
  dap sync --namespace canvas --table all --to postgresql://user:password@host/database
  dap --sandbox sync --namespace canvas --table all --to duckdb:college.duckdb
\b
Tables that are absent are loaded, known ones are brought up to date, and where the service demands it a
fresh snapshot is merged in. Run it as often as you like; each run goes on from the last.
Rows of canvas_logs stay when the service, which keeps 30 days, no longer has them.
"""


@click.command("sync", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@option("--to", metavar="URL", help="The database, such as duckdb:FILE [DAP_CONNECTION_STRING].")
@option("--if-stale", metavar="AGE", help="Leave tables alone that are younger than this, such as 4h.")
@option("--expire-logs", metavar="AGE", help="Delete rows of canvas_logs that are older than this: 31d at least.")
@load_options
@repair_option
@dry_run_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Make a database equal to the service."""
    run_replication(context, SyncCommand.SYNC, given)
