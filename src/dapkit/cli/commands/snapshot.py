"""`dap snapshot`: full copies of tables."""

from typing import Any

import click

from dapkit.cli.export_command import run_export
from dapkit.cli.options import HELP_NAMES, SectionedCommand, export_options, global_options

EPILOG = """\b
Examples:
  dap snapshot --namespace canvas --table courses
  dap snapshot --namespace canvas --table courses,users --format csv
  dap snapshot --namespace canvas --table all --exclude 'quiz*'
  dap --sandbox snapshot --namespace canvas --table all
\b
The files are written to DIR/job_<id>/. Run the same command again to resume
an interrupted run.
"""


@click.command("snapshot", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@export_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Download full copies of tables.

    Many tables are downloaded at once, within the service's rate limits. A file gets its final name only once it is
    complete and verified.
    """
    run_export(context, given)
