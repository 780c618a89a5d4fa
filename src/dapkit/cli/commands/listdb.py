"""`dap listdb`: what of a namespace is in a database, and how old it is."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.database import connection_string_option, target_from
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
from dapkit.cli.stopping import run_until_stopped
from dapkit.connection import connect
from dapkit.engine.replication.books import list_tables
from dapkit.engine.replication.converge import overdue
from dapkit.engine.tables import ALL, resolve_tables
from dapkit.targets.base import Listed

EPILOG = """\b
Examples:
  dap listdb --namespace canvas --connection-string duckdb:college.duckdb --omit-not-replicated
  dap listdb --namespace canvas --connection-string postgresql://user:password@host/database
\b
With --non-interactive or --json the list is one JSON array. With --omit-not-replicated no credentials are
needed.
"""
HEADINGS = {
    "name": "name",
    "records": "records",
    "timestamp": "data as of",
    "staleness": "staleness",
    "schema": "schema",
    "command": "use command",
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
        listed = {each.book.table: each for each in list_tables(target, given["namespace"], count=count)}
        names, now = set(listed), datetime.now(UTC)
        if not given["omit_not_replicated"] or settings.connection.sandbox is not None:
            known, now = run_until_stopped(
                lambda: _known(settings, given["namespace"], console, ask=not given["omit_not_replicated"]),
                farewell="Run the command again.",
                at_once=console.still,
            )
            names |= known
        for each in listed.values():
            if warning := overdue(each.book, now):
                console.notice(warning)
        rows = [
            line(name, listed.get(name), now, count=count)
            for name in sorted(names, key=lambda name: (name not in listed, name))
        ]
        if settings.messages.json or not settings.messages.interactive:
            console.json_result(rows)
            return
        for text in table_lines(rows):
            console.result(text)


async def _known(settings: Settings, namespace: str, console: Console, *, ask: bool) -> tuple[set[str], datetime]:
    """Return the tables of the service, if it is to be asked, and the time by which the age of its data is told."""
    async with connect(settings.connection, console.listen) as connection:
        session = connection.session
        tables = (await resolve_tables(session, namespace, (ALL,))).tables if ask else ()
        return set(tables), session.data_now()


def line(name: str, listed: Listed | None, now: datetime, *, count: bool) -> dict[str, Any]:
    """Return what is said of one table; nulls for one that is not in the database."""
    book = listed.book if listed else None
    return {
        "name": name,
        "timestamp": book.watermark.isoformat() if book else None,
        "staleness": staleness((now - book.watermark).total_seconds()) if book else None,
        "schema": book.schema.version if book else None,
        "command": "syncdb" if book else "initdb",
        **({"records": listed.rows if listed else None} if count else {}),
    }


def staleness(seconds: float) -> str:
    """Return an age in hours and minutes, such as 3h 5m."""
    minutes = int(max(seconds, 0.0)) // 60
    return f"{minutes // 60}h {minutes % 60}m"


def table_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the list as a table for people."""
    if not rows:
        return []
    shown = [HEADINGS, *rows]
    keys = [key for key in HEADINGS if key in rows[0]]
    cells = [[_cell(row, key) for key in keys] for row in shown]
    widths = [max(len(row[column]) for row in cells) for column in range(len(keys))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if value is None:
        return "-"
    return f"{value:,}" if key == "records" and isinstance(value, int) else str(value)
