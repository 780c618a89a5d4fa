"""`dap incremental`: what changed in tables since a time, or since the results in a folder."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.export_command import read_options, read_query, run_export
from dapkit.cli.options import HELP_NAMES, SectionedCommand, export_options, global_options, option
from dapkit.cli.timestamps import Moment, parse_moment
from dapkit.errors import UsageError

EPILOG = """\b
Examples:
  dap incremental --namespace canvas --table courses --since 2026-09-01T00:00:00Z
  dap incremental --namespace canvas --table all --since 2026-09-01 --until 2026-09-02
  dap incremental --namespace canvas --table all --since downloads
\b
A time without a zone is local time. A folder means: each table goes on from its latest whole
result in there, which is exact and needs no time to be remembered.
"""


@click.command("incremental", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@option(
    "--since",
    required=True,
    metavar="TIME|DIR",
    help="Changes after this time (ISO 8601), or after the earlier results in this folder.",
)
@option("--until", metavar="TIME", help="Changes up to this time [default: the latest there are].")
@export_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Fetch what changed in tables since a time.

    Changed rows carry their new values and the action U, deleted rows their key and the action D.
    """
    since, folder = read_since(given["since"])
    until = read_until(given["until"], since)
    query = read_query(given, since.text if since else None, until.text if until else None)
    notices = [
        f"{name} {given[name.strip('-')]} has no time zone: taken as local time, in UTC {moment.text}."
        for name, moment in (("--since", since), ("--until", until))
        if moment is not None and moment.assumed_local
    ]
    run_export(context, read_options(given, query, folder), tuple(notices))


def read_since(text: str) -> tuple[Moment | None, Path | None]:
    """Read --since as a time or else as a folder; raises UsageError when it is neither."""
    moment = parse_moment(text)
    if moment is not None:
        return moment, None
    folder = Path(text)
    if text.strip() and folder.is_dir():
        return None, folder
    message = f"--since {text!r} is neither a time nor a folder."
    raise UsageError(
        message, hint="Use ISO 8601, such as 2026-09-01T00:00:00Z, or the folder that holds earlier results."
    )


def read_until(text: str | None, since: Moment | None) -> Moment | None:
    """Read --until; raises UsageError when it is no time or lies before --since."""
    if text is None:
        return None
    until = parse_moment(text)
    if until is None:
        message = f"--until {text!r} is no time."
        raise UsageError(message, hint="Use ISO 8601, such as 2026-09-01T00:00:00Z.")
    if since is not None and since.utc > until.utc:
        message = f"--since {since.text} is later than --until {until.text}."
        raise UsageError(message, hint="Exchange the two.")
    return until
