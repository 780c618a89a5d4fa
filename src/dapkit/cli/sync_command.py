"""What the commands for databases have in common: their options, the database, the result for people and programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.logs import ACTION_LABELS, loaded_fields
from dapkit.cli.options import concurrency_option, flag, json_option, option, settings_of, stack, wait_option
from dapkit.cli.run_command import RESUME, run_and_advance, run_connected
from dapkit.cli.summary import Report, count_fields, failed_objects, unexplained
from dapkit.cli.table_layout import Column, lay_out
from dapkit.config.settings import Settings, database_url, pick, staging_root
from dapkit.errors import UsageError
from dapkit.formatting import age, count, duration
from dapkit.model import format_utc
from dapkit.protocol.secrets import Address
from dapkit.replication.options import SyncRequest
from dapkit.replication.preview import PlannedTable, preview
from dapkit.replication.run import SyncResult, replicate
from dapkit.results import SyncCommand, TableLoaded
from dapkit.targets.base import BadValues, LoadOptions, SyncState
from dapkit.targets.registry import target_of


def _one_database(_context: click.Context, _parameter: click.Parameter, urls: Sequence[str]) -> str | None:
    """Return the only URL, or None without one (a callback of click). Raises UsageError for several."""
    if len(urls) > 1:
        message = "More than one database is given; --to and --connection-string are the same option"
        raise UsageError(message, hint="Give one of them, once.")
    return urls[0] if urls else None


database_option = option(
    "--to",
    "--connection-string",
    "to",
    type=Address,
    multiple=True,  # the second must not silently replace the first
    callback=_one_database,
    metavar="URL",
    help="Database, such as duckdb:FILE or postgresql://user:password@host/database [DAP_CONNECTION_STRING].",
)

load_options = stack(
    option(
        "--stage",
        "--temp-dir",
        "stage",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Staging folder for downloaded files [DAP_STAGE; default: in the user's cache].",
    ),
    option(
        "--on-bad-value",
        "bad_values",
        type=click.Choice([each.value for each in BadValues], case_sensitive=False),
        default="repair",
        show_default=True,
        help="What to do with values the database cannot store.",
    ),
    flag("--drop-columns", help="Drop columns that the schema no longer has."),
    option(
        "--connections",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        metavar="N",
        help="How many tables to load at once.",
    ),
    concurrency_option,
    wait_option,
    json_option,
)

repair_option = flag("--repair", help="Reload tables that the official client left half loaded.")
dry_run_option = flag("--dry-run", help="Show what would be done, with the DDL; change nothing.")


def sync_request(settings: Settings, command: SyncCommand, given: Mapping[str, Any]) -> SyncRequest:
    """Make the request from the options of a command, by field name. Raises UsageError if one is invalid."""
    # `pick` leaves out what was not given, so that the defaults of SyncRequest apply.
    values = {
        **given,
        "command": command,
        "target": target_of(database_url(given["to"])),
        "stage": staging_root(given["stage"]),
        "load": LoadOptions(bad_values=BadValues(given["bad_values"]), drop_columns=given["drop_columns"]),
        "retry_timeout": settings.connection.retry_timeout,
    }
    return SyncRequest(**pick(SyncRequest, values))


def run_sync(context: click.Context, command: SyncCommand, given: Mapping[str, Any]) -> None:
    """Sync, or with --dry-run show what would be done.

    Raises:
        DapError: the run failed, or some of its tables did; its summary has been printed.
    """
    settings = settings_of(context)
    request = sync_request(settings, command, given)
    dry_run = bool(given["dry_run"])
    with Console(settings.messages, live=not dry_run) as console:
        if dry_run:
            planned = run_connected(
                settings, console, lambda session: preview(session, request, console.on_event), hint=RESUME
            )
            _show_preview(planned, console)
            return
        result = run_and_advance(settings, console, lambda session: replicate(session, request, console.on_event))
        error = result.error
        console.report(sync_report(result, console.width))
        if settings.messages.json:
            exit_code = error.exit_code if error else 0
            console.json_result({"command": command.value, "exit_code": exit_code, **sync_object(result)})
    if error is not None:
        raise error


def _show_preview(planned: Sequence[PlannedTable], console: Console) -> None:
    if console.settings.json:
        console.json_result([planned_object(table) for table in planned])
        return
    for table in planned:
        since = f" since {format_utc(table.since)}" if table.since else ""
        expire = f", rows before {format_utc(table.expire_before)} expire" if table.expire_before else ""
        younger = "" if table.younger_than is None else f", younger than {age(table.younger_than)}"
        reason = f" ({table.error.message})" if table.error else younger
        console.result(table.table, f"{table.action.value if table.action else 'fail'}{since}{expire}{reason}")
        for statement in table.ddl:
            # Line by line, because `result` would escape the line breaks.
            for line in f"  {statement};".split("\n"):
                console.result(line)


def planned_object(table: PlannedTable) -> dict[str, Any]:
    """Return what would be done with one table, for programs."""
    return {
        "table": table.table,
        "action": table.action.value if table.action else None,
        "since": format_utc(table.since) if table.since else None,
        "ddl": list(table.ddl),
        "expire_before": format_utc(table.expire_before) if table.expire_before else None,
        "error": table.error.as_dict() if table.error else None,
    }


def sync_report(result: SyncResult, width: int | None) -> Report:
    """Return the report of a sync: the tables that changed, repaired values, the totals."""
    # Of hundreds of tables, most do not change between two runs: they only count in the total.
    changed = [
        loaded for loaded in result.done if loaded.counts.written or loaded.counts.deleted or loaded.counts.expired
    ]
    layout = lay_out(_columns(changed), width)
    lines = list(layout.lines)
    for loaded in result.done:
        for column, values in loaded.counts.repaired.items():
            lines.append(f"{loaded.table}.{column}: {count(values, 'value')} repaired")
    if any(loaded.counts.repaired for loaded in result.done):
        lines.append(f"Original values of repaired ones: {result.repaired_values_folder}")
    sums = {name: sum(getattr(loaded.counts, name) for loaded in result.done) for name in _COUNTS}
    failed = f", {len(result.failed):,} failed" if result.failed else ""
    expired = f", {sums['expired']:,} expired" if sums["expired"] else ""
    about_tables = "".join(f", {phrase}" for phrase in (*_skipped_phrase(result), *layout.phrases))
    return Report(
        lines=tuple(lines),
        totals=(
            f"{count(len(result.done), 'table')} up to date{failed}{about_tables}: "
            f"{count(sums['written'], 'row')} written, {sums['deleted']:,} deleted{expired}, "
            f"in {duration(result.seconds)}{', from the sandbox' if result.sandbox else ''}. Database: {result.target}"
        ),
        failed=unexplained(len(result.done), result.failed),
        fields={**count_fields(result.done, result.failed), **sums, "seconds": round(result.seconds, 3)},
    )


def _skipped_phrase(result: SyncResult) -> list[str]:
    """Return how many tables --if-stale skipped, if there are any."""
    ages = [loaded.younger_than for loaded in result.done if loaded.younger_than is not None]
    return [f"{len(ages):,} skipped (younger than {age(ages[0])})"] if ages else []


_COUNTS = ("written", "deleted", "expired")


def _columns(changed: Sequence[TableLoaded]) -> list[Column]:
    """Return the columns of the table of changed tables, the most important ones first."""
    counts = [
        Column(
            heading=name,
            cells=tuple(f"{getattr(loaded.counts, name):,}" for loaded in changed),
            right=True,
            phrase=None if name == "written" else lambda _: "",  # the totals say it
        )
        for name in _COUNTS
    ]
    actions = Column(
        heading="action", cells=tuple(ACTION_LABELS[loaded.action] for loaded in changed), phrase=_action_phrase
    )
    return [Column(heading="table", cells=tuple(loaded.table for loaded in changed)), *counts, actions]


def _action_phrase(actions: Sequence[str]) -> str:
    return ", ".join(f"{number:,} {action}" for action, number in Counter(actions).most_common())


def sync_object(result: SyncResult) -> dict[str, Any]:
    """Return the result for programs."""
    return {
        "namespace": result.namespace,
        "target": result.target,
        "repaired_values_folder": str(result.repaired_values_folder),
        "sandbox": result.sandbox,
        "seconds": round(result.seconds, 3),
        "tables": [{"table": loaded.table, **loaded_fields(loaded)} for loaded in result.done],
        "no_longer_in_service": state_objects(result.no_longer_in_service),
        "failed": failed_objects(result.failed),
    }


def state_objects(states: Sequence[SyncState]) -> list[dict[str, Any]]:
    """Return tables with their watermarks, for programs."""
    return [{"table": state.table, "watermark": format_utc(state.watermark)} for state in states]
