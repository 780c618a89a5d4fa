"""`dap listdb`: what of a namespace is in a database, and how old it is."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from dapkit.api.connection import connect
from dapkit.cli import formatting as wording
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
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
from dapkit.cli.sync_command import connection_string_option, target_from, timestamp
from dapkit.export.selection import ALL, resolve_tables
from dapkit.replication.managed_tables import list_tables
from dapkit.replication.plan import dropped_table_message, staleness_warning
from dapkit.targets.base import TableInfo

EPILOG = """\b
Examples:
  dap listdb --namespace canvas --connection-string duckdb:college.duckdb --omit-not-replicated
  dap listdb --namespace canvas --connection-string postgresql://user:password@host/database
\b
With --non-interactive the list is one JSON array, as the official client prints it; --json adds size, last
result and kept columns. With --omit-not-replicated no credentials are needed.
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
@connection_string_option
@flag("--omit-not-replicated", help="Leave tables out that are not in the database.")
@flag("--omit-record-count", help="Do not count rows.")
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """List what a database holds, and how old it is."""
    settings = settings_of(context)
    target = target_from(given, settings.connection.environ)
    count = not given["omit_record_count"]
    with Console(settings.messages) as console:
        listing = list_tables(target, given["namespace"], count=count)
        listed = {each.state.table: each for each in listing.tables}
        names, now = set(listed), datetime.now(UTC)
        if not given["omit_not_replicated"] or settings.connection.sandbox is not None:
            known, now = run_until_stopped(
                lambda: _known(settings, given["namespace"], console, ask=not given["omit_not_replicated"]),
                farewell="Run the command again.",
                at_once=console.still,
            )
            names |= known
        knows_age = settings.connection.sandbox is not None or not listing.sandbox  # a sandbox has its own clock
        for each in listed.values():
            if each.lost:
                console.notice(
                    f"{dropped_table_message(each.state.table)}: `dap sync` loads it anew, `dap dropdb` forgets it."
                )
            elif knows_age and (warning := staleness_warning(each.state, now)):
                console.notice(warning)
        rows = [
            line(name, listed.get(name), now, count=count)
            for name in sorted(names, key=lambda name: (name not in listed, name))
        ]
        if not settings.messages.json and not settings.messages.interactive:
            console.json_result(rows)
            return
        more = [row | added(listed.get(row["name"])) for row in rows]
        if settings.messages.json:
            console.json_result(more)
            return
        for text in table_lines(more, now):
            console.result(text)
        for each in listed.values():
            if each.kept_columns:
                console.notice(kept_sentence(each))


async def _known(settings: Settings, namespace: str, console: Console, *, ask: bool) -> tuple[set[str], datetime]:
    """Return the tables of the service, if it is to be asked, and the time by which the age of its data is told."""
    async with connect(settings.connection, console.on_event) as connection:
        session = connection.session
        tables = (await resolve_tables(session, namespace, (ALL,))).tables if ask else ()
        return set(tables), session.data_now()


def line(name: str, listed: TableInfo | None, now: datetime, *, count: bool) -> dict[str, Any]:
    """Return what the official client says of one table, word for word; nulls for one that is not in the database."""
    state = listed.state if listed else None
    return {
        "name": name,
        "timestamp": state.watermark.astimezone().isoformat() if state else None,
        "staleness": staleness((now - state.watermark).total_seconds()) if state else None,
        "schema": state.schema.version if state else None,
        "command": "syncdb" if listed and not listed.lost else "initdb",
        **({"records": listed.rows if listed else None} if count else {}),
    }


def added(listed: TableInfo | None) -> dict[str, Any]:
    """Return what is said of one table beyond the official client; nulls for one that is not in the database."""
    if listed is None:
        return {"bytes": None, "last_result": None, "kept_columns": None}
    last = None
    if listed.last is not None:
        told = {key: listed.last.detail.get(key) for key in ("written", "deleted", "code", "message")}
        last = {"event": listed.last.event, "at": timestamp(listed.last.time), **told}
    return {"bytes": listed.bytes, "last_result": last, "kept_columns": list(listed.kept_columns)}


def staleness(seconds: float) -> str:
    """Return an age in its greatest unit and the next, such as 2d 4h, 3h 5m or 7m, as the official client writes it."""
    whole = max(0, int(seconds))
    for unit, length, below, part in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length}{unit}" + (f" {rest}{below}" if rest else "")
    return f"{whole}s"


def table_lines(rows: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """Return the list as a table for people."""
    if not rows:
        return []
    keys = [key for key in HEADINGS if key in rows[0]]
    numbers = frozenset(place for place, key in enumerate(keys) if key in ("records", "bytes"))
    cells = [[_cell(key, row[key], now) for key in keys] for row in rows]
    return wording.columns([[HEADINGS[key] for key in keys], *cells], numbers)


def _cell(key: str, value: Any, now: datetime) -> str:
    match key:
        case _ if value is None:
            return "-"
        case "records":
            return f"{value:,}"
        case "bytes":
            return wording.size(value)
        case "last_result":
            return result_sentence(value, now)
    return str(value)


def result_sentence(last: Mapping[str, Any], now: datetime) -> str:
    """Say what was last done to a table, such as: changed, 1,204 written, 3 deleted, 2 h ago."""
    first = last["event"] if last["code"] is None else f"{last['event']}: {last['code']}"
    counts = [f"{last[key]:,} {key}" for key in ("written", "deleted") if isinstance(last[key], int) and last[key]]
    return ", ".join([first, *counts, ago((now - datetime.fromisoformat(last["at"])).total_seconds())])


def ago(seconds: float) -> str:
    """Return how long ago something was, such as 2 h ago."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def kept_sentence(listed: TableInfo) -> str:
    """Say which columns a table keeps that its schema no longer has, or never had."""
    what = wording.names(listed.kept_columns)
    table = listed.state.table
    return f"{table} keeps {what}, which its schema does not have: the official client's next run would drop that."
