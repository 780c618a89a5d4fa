"""`dap schema`: the JSON Schemas of tables, as files."""

from typing import Any

import click

from dapkit.api.connection import connect
from dapkit.cli.console import Console
from dapkit.cli.exitcodes import error_of
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    global_options,
    json_option,
    output_option,
    settings_of,
    table_options,
)
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
from dapkit.cli.summary import failure_lines
from dapkit.errors import DapError
from dapkit.export.schemas import SchemasResult, save_schemas
from dapkit.export.selection import split_tables

EPILOG = """\b
Examples:
  dap schema --namespace canvas --table courses
  dap schema --namespace canvas --table all --output-directory schemas
\b
Each schema is written to DIR/<table>_schema_version_<n>.json.
"""


@click.command("schema", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@output_option
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Save the schemas of tables.

    The files' names go to stdout, one a line.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:
        result = run_until_stopped(
            lambda: _save(settings, given, console), farewell="Run the command again.", at_once=console.still
        )
        if result.notice:
            console.notice(result.notice)
        error = error_of(len(result.saved), result.failed)
        if settings.messages.json:
            console.json_result(_as_object(result, error))
        else:
            for saved in result.saved:
                console.result(str(saved.path))
        console.tell((line for failure in result.failed for line in failure_lines(failure)), failed=True)
    if error is not None:
        raise error


async def _save(settings: Settings, given: dict[str, Any], console: Console) -> SchemasResult:
    tables = split_tables(given["table"])
    exclude = split_tables(given["exclude"]) if given["exclude"] else ()
    async with connect(settings.connection, console.on_event) as connection:
        return await save_schemas(connection.session, given["namespace"], tables, exclude, given["output_directory"])


def _as_object(result: SchemasResult, error: DapError | None) -> dict[str, Any]:
    return {
        "command": "schema",
        "exit_code": error.exit_code if error else 0,
        "namespace": result.namespace,
        "schemas": [
            {"table": saved.table, "version": saved.version, "path": str(saved.path)} for saved in result.saved
        ],
        "failed": [{**failure.error.as_dict(), "table": failure.table} for failure in result.failed],
    }
