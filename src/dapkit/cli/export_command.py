"""What `snapshot` and `incremental` have in common: options, one engine call, a summary, an exit code."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dapkit.api.connection import connect
from dapkit.cli.console import Console
from dapkit.cli.exitcodes import error_of
from dapkit.cli.formatting import count, duration, names
from dapkit.cli.options import settings_of
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
from dapkit.cli.summary import look_line, query_object, run_object, shown_path, summary_lines
from dapkit.export.run import ExportOptions, Preview, export, preview
from dapkit.export.selection import split_tables
from dapkit.model import Format, Mode, Query
from dapkit.results import RunResult

FAREWELL = "Run the same command again: it goes on from where it was."


def read_options(given: dict[str, Any], query: Query, since_folder: Path | None = None) -> ExportOptions:
    """Make the engine's options from the command's; raises UsageError when no table is named."""
    return ExportOptions(
        namespace=given["namespace"],
        tables=split_tables(given["table"]),
        exclude=split_tables(given["exclude"]) if given["exclude"] else (),
        query=query,
        since_folder=since_folder,
        output=given["output_directory"],
        concurrency=given["concurrency"],
        new=given["new"],
        wait=given["wait"],
    )


def read_query(given: dict[str, Any], since: str | None = None, until: str | None = None) -> Query:
    """Make the query that every table is asked."""
    mode = Mode(given["mode"]) if given["mode"] else None
    return Query(format=Format(given["format"]), mode=mode, since=since, until=until)


def run_export(context: click.Context, options: ExportOptions, notices: tuple[str, ...] = ()) -> None:
    """Export, or with --dry-run say what would be exported.

    Raises:
        DapError: what the run failed with, after its summary is told.
    """
    settings = settings_of(context)
    options = replace(options, retry_timeout=settings.connection.retry_timeout)
    dry = bool(context.params["dry_run"])
    with Console(settings.messages, live=not dry) as console:
        for notice in notices:
            console.notice(notice)
        if dry:
            seen = run_until_stopped(
                lambda: _preview(settings, options, console), farewell=FAREWELL, at_once=console.still
            )
            _show_preview(seen, options, console)
            return
        result = run_until_stopped(
            lambda: _export(settings, options, console), farewell=FAREWELL, at_once=console.still
        )
        _show(result, console)
    error = error_of(len(result.done), result.failed)
    if error is not None:
        raise error


async def _export(settings: Settings, options: ExportOptions, console: Console) -> RunResult:
    async with connect(settings.connection, console.on_event) as connection:
        connection.check()
        result = await export(connection.session, options, console.on_event)
        if not result.failed:
            connection.move_on()
        return replace(result, notices=console.notices)


async def _preview(settings: Settings, options: ExportOptions, console: Console) -> Preview:
    async with connect(settings.connection, console.on_event) as connection:
        return await preview(connection.session, options)


def _show(result: RunResult, console: Console) -> None:
    lines = summary_lines(result)
    look = look_line(result, shown_path(Path(sys.executable), _current_folder()))
    if look:
        lines.append(look)
    console.summary(lines, failed=bool(result.failed))
    if console.settings.json:
        console.json_result(run_object(result, error_of(len(result.done), result.failed)))


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # somebody removed it
        return None


def _show_preview(seen: Preview, options: ExportOptions, console: Console) -> None:
    if console.settings.json:
        console.json_result(
            {
                "command": "incremental" if options.incremental else "snapshot",
                "status": "dry-run",
                "namespace": seen.namespace,
                "query": query_object(seen.query),
                "output": str(options.output),
                "tables": list(seen.tables),
                "whole": list(seen.complete),
                "since": dict(seen.since),
                "continued_seconds": seen.continued,
            }
        )
        return
    asked = ", ".join(f"{name} {value}" for name, value in query_object(seen.query).items() if value)
    rest = [table for table in seen.tables if table not in seen.complete]
    lines = []
    if seen.continued is not None:
        lines.append(f"Would continue the run that was interrupted {duration(seen.continued)} ago.")
    if seen.complete:
        lines.append(f"Whole already: {names(seen.complete)}.")
    if seen.since:
        asked += "; each table from the time that follows it"
    lines.append(f"Would ask {seen.namespace} for {count(len(rest), 'table')} ({asked}):")
    console.tell(lines)
    for table in rest:
        console.result(table, *([seen.since[table]] if table in seen.since else []))
