"""`dap listdb`: the tables of a namespace in a database, and the age of their data."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    flag,
    global_options,
    json_option,
    namespace_option,
    settings_of,
)
from dapkit.cli.run_command import run_connected
from dapkit.cli.sync_command import database_option
from dapkit.config.settings import database_url
from dapkit.formatting import columns, names, size
from dapkit.model import format_utc
from dapkit.replication.listing import compare_with_service, list_tables
from dapkit.targets.base import TableInfo
from dapkit.targets.registry import target_of

EPILOG = """\b
Examples:
  dap listdb --namespace canvas --omit-not-replicated \\
      --connection-string duckdb:college.duckdb
  dap listdb --namespace canvas \\
      --connection-string postgresql://user:password@host/database
\b
With --non-interactive, the output is the JSON of the official client. --json
adds the size, the last result and extra columns. With --omit-not-replicated,
no credentials are needed.
"""
HEADINGS = {
    "name": "name",
    "records": "records",
    "timestamp": "data as of",
    "staleness": "staleness",
    "schema": "schema",
    "command": "use command",
    "bytes": "size",
    "last_result": "last result",
}


@click.command("listdb", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@namespace_option
@database_option
@flag("--omit-not-replicated", help="List only tables that are in the database.")
@flag("--omit-record-count", help="Do not count rows.")
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """List the tables in a database and the age of their data."""
    settings = settings_of(context)
    target = target_of(database_url(given["to"]))
    count = not given["omit_record_count"]
    omit = bool(given["omit_not_replicated"])
    with Console(settings.messages) as console:
        listing = list_tables(target, given["namespace"], count=count)
        if not omit or settings.connection.sandbox:
            # The age of a sandbox's data is measured by the sandbox's clock, which only a session knows.
            compare = partial(compare_with_service, listing=listing, omit_not_replicated=omit)
            listing = run_connected(settings, console, compare)
        for notice in listing.notices:
            console.notice(notice)
        if not listing.tables and not listing.not_loaded:
            console.notice(f"No table of {listing.namespace} is in {listing.target}")
        listed, now = {each.table: each for each in listing.tables}, listing.now
        rows = [line(name, listed.get(name), now, count=count) for name in (*sorted(listed), *listing.not_loaded)]
        if settings.messages.non_interactive and not settings.messages.json:
            console.json_result(rows)
            return
        extended = [row | extra_fields(listed.get(row["name"])) for row in rows]
        if settings.messages.json:
            console.json_result(extended)
            return
        for text in table_lines(extended, now):
            console.result(text)
        for each in listed.values():
            if each.kept_columns:
                console.notice(kept_columns_notice(each))


def line(name: str, listed: TableInfo | None, now: datetime, *, count: bool) -> dict[str, Any]:
    """Return exactly what the official client prints for a table; nulls for one that is not in the database."""
    state = listed.state if listed else None
    return {
        "name": name,
        "timestamp": state.watermark.astimezone().isoformat() if state else None,
        "staleness": staleness((now - state.watermark).total_seconds()) if state else None,
        "schema": state.schema.version if state else None,
        # A table that was dropped manually has to be loaded again, as the official client would say.
        "command": "syncdb" if listed and not listed.table_dropped else "initdb",
        **({"records": listed.rows if listed else None} if count else {}),
    }


def extra_fields(listed: TableInfo | None) -> dict[str, Any]:
    """Return the fields that the official client does not have; nulls for a table that is not in the database."""
    if listed is None:
        return {"bytes": None, "last_result": None, "kept_columns": None}
    last = None
    if listed.last is not None:
        detail = {key: listed.last.detail.get(key) for key in ("written", "deleted", "code", "message")}
        last = {"event": listed.last.event, "at": format_utc(listed.last.time), **detail}
    return {"bytes": listed.bytes, "last_result": last, "kept_columns": list(listed.kept_columns)}


def staleness(seconds: float) -> str:
    """Return an age as the official client writes it: its largest unit and the next, such as 2d 4h, 3h 5m or 7m."""
    total = max(0, int(seconds))
    for unit, length, below, part in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if total >= length:
            rest = total % length // part
            return f"{total // length}{unit}" + (f" {rest}{below}" if rest else "")
    return f"{total}s"


def table_lines(rows: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """Return the list as a table for people."""
    if not rows:
        return []
    keys = [key for key in HEADINGS if key in rows[0]]
    numbers = frozenset(index for index, key in enumerate(keys) if key in ("records", "bytes"))
    cells = [[_cell(key, row[key], now) for key in keys] for row in rows]
    return columns([[HEADINGS[key] for key in keys], *cells], numbers)


def _cell(key: str, value: Any, now: datetime) -> str:
    match key:
        case _ if value is None:
            return "-"
        case "records":
            return f"{value:,}"
        case "bytes":
            return size(value)
        case "last_result":
            return result_sentence(value, now)
    return str(value)


def result_sentence(last: Mapping[str, Any], now: datetime) -> str:
    """Return the last result in words, such as: incremental, 1,204 written, 3 deleted, 2 h ago."""
    first = last["event"] if last["code"] is None else f"{last['event']}: {last['code']}"
    counts = [f"{last[key]:,} {key}" for key in ("written", "deleted") if isinstance(last[key], int) and last[key]]
    return ", ".join([first, *counts, ago((now - datetime.fromisoformat(last["at"])).total_seconds())])


def ago(seconds: float) -> str:
    """Return how long ago something was, such as 2 h ago."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def kept_columns_notice(listed: TableInfo) -> str:
    """Say which columns a table has that its schema does not have."""
    extra, table = names(listed.kept_columns), listed.state.table
    return f"{table} has columns that its schema does not have: {extra}; the official client's next run would drop them"
