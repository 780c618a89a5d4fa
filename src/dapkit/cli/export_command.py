"""What `snapshot` and `incremental` have in common: options, one run, a summary, an exit code."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.flat_options import flat_options_of
from dapkit.cli.options import settings_of
from dapkit.cli.run_command import RESUME, run_and_advance, run_connected
from dapkit.cli.summary import export_report, query_object, run_object, shown_path
from dapkit.config.settings import pick
from dapkit.export.options import ExportRequest
from dapkit.export.run import Preview, export, preview
from dapkit.export.run_result import RunResult
from dapkit.formatting import count, duration, names


def run_export(context: click.Context, given: Mapping[str, Any], notices: tuple[str, ...] = ()) -> None:
    """Export, or with --dry-run show what would be exported. `given` holds the options by field name.

    Raises:
        DapError: the run failed, or some of its tables did; its summary has been printed.
    """
    settings = settings_of(context)
    values = {**given, "retry_timeout": settings.connection.retry_timeout}
    request = ExportRequest(**pick(ExportRequest, {**values, "flat": flat_options_of(given)}))
    dry_run = bool(given["dry_run"])
    with Console(settings.messages, live=not dry_run) as console:
        for notice in notices:
            console.notice(notice)
        if dry_run:
            planned = run_connected(settings, console, lambda session: preview(session, request), hint=RESUME)
            _show_preview(planned, request, console)
            return
        result = run_and_advance(settings, console, lambda session: export(session, request, console.on_event))
        # The console also has notices that the run does not know, for example about settings.
        _show(replace(result, notices=console.notices), console)
    error = result.error
    if error is not None:
        raise error


def _show(result: RunResult, console: Console) -> None:
    console.report(export_report(result, console.width, shown_path(Path(sys.executable), _current_folder())))
    if console.settings.json:
        console.json_result(run_object(result, result.error))


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _show_preview(planned: Preview, request: ExportRequest, console: Console) -> None:
    for notice in planned.notices:
        console.notice(notice)
    if console.settings.json:
        console.json_result(
            {
                "command": "incremental" if request.incremental else "snapshot",
                "status": "dry-run",
                "namespace": planned.namespace,
                "query": query_object(planned.query),
                "output": str(request.output),
                "tables": list(planned.tables),
                "complete": list(planned.complete),
                "no_earlier_result": list(planned.without_baseline),
                "since": dict(planned.since),
                "interrupted_seconds_ago": planned.resumed_age,
            }
        )
        return
    query = ", ".join(f"{name} {value}" for name, value in query_object(planned.query).items() if value)
    if planned.since:
        query += "; each table since the time shown"
    missing = [
        table for table in planned.tables if table not in planned.complete and table not in planned.without_baseline
    ]
    lines = []
    if planned.resumed_age is not None:
        lines.append(f"Would resume the run that was interrupted {duration(planned.resumed_age)} ago.")
    if planned.complete:
        lines.append(f"Already complete: {names(planned.complete)}.")
    lines.append(f"Would request {count(len(missing), 'table')} of {planned.namespace} ({query}):")
    console.print(lines)
    for table in planned.tables:
        if table in planned.without_baseline:
            console.result(table, "no earlier result")
        elif table in missing:
            since = planned.since.get(table) or planned.query.since
            console.result(table, *([since] if since else []))
