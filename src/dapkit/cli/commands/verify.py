"""`dap verify`: files compared with their manifests and states."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import HELP_NAMES, SectionedCommand, flag, json_option, message_options, settings_of
from dapkit.export.verify import VerifyResult, verify
from dapkit.formatting import count, size

EPILOG = """\b
Examples:
  dap verify downloads
  dap verify downloads --json
  dap verify downloads --remove-damaged
"""


@click.command("verify", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@flag("--remove-damaged", help="Delete files that fail, and their manifest or state.")
@json_option
@message_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Verify downloaded files against their manifests.

    Every file below DIR is read and compared with its manifest, and every flat table with its state. Each problem is
    printed to stdout as one line.
    """
    settings = settings_of(context)
    folder: Path = given["folder"]
    with Console(settings.messages) as console:
        result = verify(folder, remove_damaged=given["remove_damaged"])
        if settings.messages.json:
            console.json_result(_as_object(folder, result))
        else:
            for problem in result.problems:
                console.result(f"{problem.path}: {problem.message}")
            for path in result.removed:
                console.result(f"{path}: removed")
        for path in result.incomplete:
            console.notice(f"{path} has no manifest: it is incomplete, or was written by another program")
        if not result.problems and result.files + result.jobs:
            flat = f" ({count(result.flat, 'flat table')})" if result.flat else ""
            console.print([f"{count(result.files, 'file')}{flat}, {size(result.bytes)}: no problems found."])
    result.raise_for_failed()


def _as_object(folder: Path, result: VerifyResult) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "jobs": result.jobs,
        "flat": result.flat,
        "files": result.files,
        "bytes": result.bytes,
        "problems": [{"path": str(problem.path), "message": problem.message} for problem in result.problems],
        "incomplete": [str(path) for path in result.incomplete],
        "removed": [str(path) for path in result.removed],
    }
