"""`dap snapshot`: full copies of tables."""

from typing import Any

import click

from dapkit.cli.export_command import read_options, read_query, run_export
from dapkit.cli.options import HELP_NAMES, SectionedCommand, export_options, global_options

EPILOG = """\b
Examples:
  dap snapshot --namespace canvas --table courses
  dap snapshot --namespace canvas --table courses,users,wikis --format csv
  dap snapshot --namespace canvas --table all --exclude 'quiz*' --format parquet --output-directory out
  dap --sandbox snapshot --namespace canvas --table all
\b
Files lie in DIR/job_<id>/. The same command again continues an interrupted run.
"""


@click.command("snapshot", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@export_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Fetch full copies of tables.

    Many tables at once, within the service's request budgets; every file is checked before it bears its name.
    """
    run_export(context, read_options(given, read_query(given)))
