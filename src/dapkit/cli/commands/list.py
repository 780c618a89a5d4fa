"""`dap list`: the tables of a namespace."""

from typing import Any

import click

from dapkit.api.connection import connect
from dapkit.cli.console import Console
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    global_options,
    json_option,
    namespace_option,
    settings_of,
)
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
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

    Names go to stdout, one a line; with --json as one array.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:
        tables = run_until_stopped(
            lambda: _tables(settings, given["namespace"], console),
            farewell="Run the command again.",
            at_once=console.still,
        )
        if settings.messages.json:
            console.json_result(tables)
            return
        for table in tables:
            console.result(table)


async def _tables(settings: Settings, namespace: str, console: Console) -> list[str]:
    async with connect(settings.connection, console.on_event) as connection:
        resolved = await resolve_tables(connection.session, namespace, (ALL,))
    if resolved.notice:
        console.notice(resolved.notice)
    return sorted(resolved.tables)
