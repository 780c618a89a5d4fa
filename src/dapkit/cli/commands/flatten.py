"""`dap flatten`: raw results that are already there, as flat tables."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.flat_options import flat_options_of
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    flat_detail_options,
    global_options,
    json_option,
    option,
    settings_of,
)
from dapkit.cli.run_command import run_connected, run_offline
from dapkit.cli.summary import failed_objects, flatten_report, table_object
from dapkit.errors import UsageError
from dapkit.export.flatten import FlattenResult, flatten, raw_results
from dapkit.transfer.workers import worker_pool

EPILOG = """\b
Examples:
  dap flatten downloads
  dap flatten downloads --format csv --keep-raw
\b
Schemas come from the folder, if `dap schema` saved them there, or from the
service.
"""


@click.command("flatten", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@option(
    "--format",
    "flat",
    type=click.Choice(("parquet", "csv", "jsonl"), case_sensitive=False),
    default="parquet",
    show_default=True,
    help="Format of the flat files.",
)
@flat_detail_options
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Write flat tables from the raw results in a folder.

    The latest snapshot of each table becomes DIR/NAMESPACE/TABLE.parquet, and each increment a file in
    DIR/NAMESPACE/TABLE.changes/. The raw files are deleted then, unless --keep-raw is given.
    """
    settings = settings_of(context)
    folder: Path = given["folder"]
    options = flat_options_of(given)
    if options is None:
        raise UsageError("No format is given")
    with Console(settings.messages) as console, worker_pool(4) as pool:
        results = raw_results(folder, console.on_event)

        def work(session: Any) -> Any:
            return flatten(session, folder, results, options, pool, console.on_event)

        if all(each.schema is not None for each in results):
            result = run_offline(lambda: work(None), console)
        else:
            result = run_connected(settings, console, work)
        console.report(flatten_report(result, console.width))
        if settings.messages.json:
            console.json_result(_as_object(result))
    result.raise_for_failed()


def _as_object(result: FlattenResult) -> dict[str, Any]:
    return {
        "command": "flatten",
        "folder": str(result.folder),
        "tables": [table_object(each) for each in result.done],
        "failed": failed_objects(result.failed),
    }
