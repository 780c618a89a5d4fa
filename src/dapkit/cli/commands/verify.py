"""`dap verify`: check files against what their manifests say."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.formatting import count, size
from dapkit.cli.options import HELP_NAMES, SectionedCommand, json_option, message_options, settings_of
from dapkit.errors import VerificationError
from dapkit.export.verify import VerifyResult, verify

EPILOG = """\b
Examples:
  dap verify downloads
  dap verify downloads --json
"""


@click.command("verify", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
@message_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Check again that fetched files are what came.

    Every file under DIR is read and compared with its manifest; each thing wrong is one line on stdout.
    """
    settings = settings_of(context)
    folder: Path = given["folder"]
    with Console(settings.messages) as console:
        result = verify(folder)
        if settings.messages.json:
            console.json_result(_as_object(folder, result))
        else:
            for problem in result.problems:
                console.result(f"{problem.path}: {problem.message}")
        for path in result.incomplete:
            console.notice(f"{path} has no manifest: it is not finished, or another program wrote it.")
        if not result.problems and result.jobs:
            console.tell([f"{count(result.files, 'file')}, {size(result.bytes)}: all as their manifests say."])
    if result.problems:
        message = f"{count(len(result.problems), 'thing')} wrong under {folder}."
        raise VerificationError(message, hint="Run the command that fetched it again: what is wrong is fetched anew.")
    if not result.jobs:
        message = f"Nothing under {folder} is finished, so nothing could be checked."
        raise VerificationError(message, hint="Run the command that began it again: it goes on from where it was.")


def _as_object(folder: Path, result: VerifyResult) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "jobs": result.jobs,
        "files": result.files,
        "bytes": result.bytes,
        "problems": [{"path": str(problem.path), "what": problem.message} for problem in result.problems],
        "unfinished": [str(path) for path in result.incomplete],
    }
