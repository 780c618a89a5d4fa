"""`dap results`: what is in an output folder."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import HELP_NAMES, SectionedCommand, json_option, message_options, settings_of
from dapkit.cli.result_table import result_layout, result_object
from dapkit.export.stored_results import FolderResults, stored_results
from dapkit.formatting import count, size

EPILOG = """\b
Examples:
  dap results downloads
  dap results downloads --json
"""


@click.command("results", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
@message_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """List the results in a folder.

    Shows the complete results in an output folder, raw and flat: table, kind, format, times (UTC), rows, size and path.
    Nothing is changed, and the files are not read; dap verify does that.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:
        found = stored_results(given["folder"])
        if settings.messages.json:
            console.json_result(_as_object(found))
            return
        layout = result_layout(found.results, found.folder, console.result_width)
        for line in layout.lines:
            console.result(line)
        for each in found.incomplete:
            console.notice(f"{each.path} {each.message}")
        if not found.results:
            console.notice(f"{found.folder} has no complete results")
            return
        tables = {(each.namespace, each.table) for each in found.results}
        total = f"{count(len(found.results), 'result')} of {count(len(tables), 'table')}"
        place = [] if "path" in layout.lines[0] else ["paths: see --json"]
        console.print([", ".join([total, size(sum(each.bytes for each in found.results)), *layout.phrases, *place])])


def _as_object(found: FolderResults) -> dict[str, Any]:
    return {
        "folder": str(found.folder),
        "results": [result_object(each) for each in found.results],
        "incomplete": [{"path": str(each.path), "message": each.message} for each in found.incomplete],
    }
