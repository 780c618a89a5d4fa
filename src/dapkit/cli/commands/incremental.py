"""`dap incremental`: changes of tables since a time, or since the results in a folder."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.export_command import run_export
from dapkit.cli.options import HELP_NAMES, SectionedCommand, export_options, global_options, option
from dapkit.errors import UsageError
from dapkit.export.times import TIME_HINT, ParsedTime, parse_time

EPILOG = """\b
Examples:
  dap incremental --namespace canvas --table courses \\
      --since 2026-09-01T00:00:00Z
  dap incremental --namespace canvas --table all --since 2026-09-01
  dap incremental --namespace canvas --table all --since downloads
\b
A time without a zone is local time. With a folder, each table continues
exactly from its latest complete result there.
"""


@click.command("incremental", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@option(
    "--since",
    required=True,
    metavar="TIME|DIR",
    path=True,
    help="Start: a time (ISO 8601), or a folder with earlier results.",
)
@option("--until", metavar="TIME", help="End: a time [default: the latest available].")
@export_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Download the changes of tables since a time.

    Changed rows have the action U and their new values, deleted rows the action D and their key.
    """
    since, folder = read_since(given["since"])
    until = read_until(given["until"], since)
    notices = [
        f"--{name} {given[name]} has no time zone and is taken as local time: {time.text}"
        for name, time in (("since", since), ("until", until))
        if time is not None and time.assumed_local
    ]
    times = {
        "since": since.text if since else None,
        "until": until.text if until else None,
        "since_folder": folder,
    }
    run_export(context, {**given, **times}, tuple(notices))


def read_since(text: str) -> tuple[ParsedTime | None, Path | None]:
    """Read --since as a time, or else as a folder. Raises UsageError if it is neither."""
    time = parse_time(text)
    if time is not None:
        return time, None
    folder = Path(text)
    if text.strip() and folder.is_dir():
        return None, folder
    raise UsageError(
        f"--since {text!r} is neither a time nor a folder",
        hint="Use ISO 8601, for example 2026-09-01T00:00:00Z, or the folder that contains earlier results.",
    )


def read_until(text: str | None, since: ParsedTime | None) -> ParsedTime | None:
    """Read --until. Raises UsageError if it is not a time, or earlier than --since."""
    if text is None:
        return None
    until = parse_time(text)
    if until is None:
        raise UsageError(f"Invalid time {text!r} for --until", hint=TIME_HINT)
    if since is not None and since.utc > until.utc:
        message = f"--since {since.text} is later than --until {until.text}"
        raise UsageError(message, hint="Swap --since and --until.")
    return until
