"""`dap incremental`: changes of tables since a time, or since the results in a folder."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.export_command import run_export
from dapkit.cli.options import HELP_NAMES, SectionedCommand, export_options, global_options, option
from dapkit.errors import UsageError
from dapkit.export.times import ParsedTime, impossible_part, parse_time, relative_time

EPILOG = """\b
Examples:
  dap incremental --namespace canvas --table users --since 2026-09-01T00:00Z
  dap incremental --namespace canvas --table all --since 2d
  dap incremental --namespace canvas --table all --since downloads
\b
A time without a zone is local time. 2d, 4h, today and yesterday are fixed
when a run begins. With a folder, each table continues exactly from its latest
complete result there. A time wins over a folder of that name: write ./2d.
"""
_TIME_HINT = "Use ISO 8601, for example 2026-09-01T00:00:00Z, or an age such as 2d."


@click.command("incremental", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@option(
    "--since",
    required=True,
    metavar="TIME|DIR",
    path=True,
    help="Start: a time, or a folder with earlier results.",
)
@option("--until", metavar="TIME", help="End: a time [default: the latest available].")
@export_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Download the changes of tables since a time.

    Changed rows have the action U and their new values, deleted rows the action D and their key.
    """
    since = read_since(given["since"])
    until = read_until(given["until"], since)
    notices = [
        f"--{name} {given[name]} has no time zone and is taken as local time: {time.text}"
        for name, time in (("since", since), ("until", until))
        if isinstance(time, ParsedTime) and time.assumed_local
    ]
    times = {
        "since": _text(since),
        "until": _text(until),
        "since_folder": since if isinstance(since, Path) else None,
    }
    run_export(context, {**given, **times}, tuple(notices))


def read_since(text: str) -> ParsedTime | str | Path:
    """Read --since as a time, as a relative time, or else as a folder. Raises UsageError for anything else."""
    time = parse_time(text) or relative_time(text)
    if time is not None:
        return time
    folder = Path(text)
    if folder.is_dir():
        return folder
    problem = impossible_part(text)
    if problem:
        raise UsageError(f"--since {text!r} is not a time: {problem}", hint=_TIME_HINT)
    raise UsageError(
        f"--since {text!r} is neither a time nor a folder",
        hint="Use ISO 8601, for example 2026-09-01T00:00:00Z, an age such as 2d, or the folder that contains earlier"
        " results.",
    )


def read_until(text: str | None, since: ParsedTime | str | Path) -> ParsedTime | str | None:
    """Read --until. Raises UsageError if it is not a time, or earlier than --since."""
    if text is None:
        return None
    until = parse_time(text) or relative_time(text)
    if until is None:
        problem = impossible_part(text)
        raise UsageError(f"Invalid time {text!r} for --until{problem and f': {problem}'}", hint=_TIME_HINT)
    if isinstance(since, ParsedTime) and isinstance(until, ParsedTime) and since.utc > until.utc:
        message = f"--since {since.text} is later than --until {until.text}"
        raise UsageError(message, hint="Swap --since and --until.")
    return until


def _text(time: ParsedTime | str | Path | None) -> str | None:
    if isinstance(time, ParsedTime):
        return time.text
    return time if isinstance(time, str) else None
