"""`dap schema`: the JSON Schemas of tables, as files."""

from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    global_options,
    json_option,
    output_option,
    settings_of,
    table_options,
)
from dapkit.cli.run_command import run_connected
from dapkit.cli.summary import Report, count_fields, failed_objects, unexplained
from dapkit.errors import DapError
from dapkit.export.schemas import SchemasResult, save_schemas
from dapkit.formatting import count

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
    """Save the JSON Schemas of tables.

    The paths of the files are printed to stdout, one per line.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:
        result = run_connected(
            settings,
            console,
            lambda session: save_schemas(
                session, given["namespace"], given["tables"], given["exclude"], given["output"]
            ),
        )
        if result.notice:
            console.notice(result.notice)
        error = result.error
        if settings.messages.json:
            console.json_result(_as_object(result, error))
        else:
            for saved in result.done:
                console.result(str(saved.path))
        for failure in result.failed:
            console.on_event(failure)
        if result.failed:
            console.report(schema_report(result))
    if error is not None:
        raise error


def schema_report(result: SchemasResult) -> Report:
    """Return the report of a run in which schemas could not be saved."""
    total = count(len(result.done) + len(result.failed), "schema")
    return Report(
        totals=f"{len(result.done):,} of {total} saved, {len(result.failed):,} failed",
        failed=unexplained(len(result.done), result.failed),
        fields=count_fields(result.done, result.failed),
    )


def _as_object(result: SchemasResult, error: DapError | None) -> dict[str, Any]:
    return {
        "command": "schema",
        "exit_code": error.exit_code if error else 0,
        "namespace": result.namespace,
        "schemas": [{"table": saved.table, "version": saved.version, "path": str(saved.path)} for saved in result.done],
        "failed": failed_objects(result.failed),
    }
