"""`dap list`: the tables of a namespace."""

from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    global_options,
    json_option,
    namespace_option,
    settings_of,
)
from dapkit.cli.run_command import run_connected
from dapkit.export.selection import ALL, resolve_tables

EPILOG = """\b
Examples:
  dap list --namespace canvas
  dap --sandbox list --namespace catalog --json
"""


@click.command("list", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@namespace_option
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """List the tables of a namespace.

    The names are printed to stdout, one per line; with --json, as one array.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:
        resolved = run_connected(settings, console, lambda session: resolve_tables(session, given["namespace"], (ALL,)))
        if resolved.notice:
            console.notice(resolved.notice)
        if settings.messages.json:
            console.json_result(sorted(resolved.tables))
            return
        for table in sorted(resolved.tables):
            console.result(table)
