"""What the commands for databases have in common: their options, where the database is, the outcome for people."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from dapkit.api.connection import connect
from dapkit.cli import formatting as wording
from dapkit.cli.console import Console
from dapkit.cli.exitcodes import error_of
from dapkit.cli.logs import ACTION_LABELS
from dapkit.cli.options import flag, json_option, option, settings_of, wait_option
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
from dapkit.cli.summary import failure_lines
from dapkit.config.settings import stage_root
from dapkit.errors import UsageError
from dapkit.export.selection import split_tables
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.preview import PlannedTable, preview
from dapkit.replication.run import SyncResult, replicate
from dapkit.results import SyncCommand
from dapkit.targets.base import BadValues, LoadOptions, SyncState, Target
from dapkit.targets.registry import target_of

FAREWELL = "Run the same command again: it goes on from where it was."
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

connection_string_option = option(
    "--connection-string",
    metavar="DBCONNSTR",
    help="The database, such as postgresql://user:password@host:port/database [DAP_CONNECTION_STRING].",
)


def load_options(function: Decorated) -> Decorated:
    """Add the options of the commands that load tables."""
    for decorate in reversed(
        (
            option(
                "--stage",
                type=click.Path(path_type=Path),
                metavar="DIR",
                help="Folder for files on their way into the database [DAP_STAGE; default: in the user's cache].",
            ),
            option(
                "--on-bad-value",
                type=click.Choice([each.value for each in BadValues], case_sensitive=False),
                default="repair",
                show_default=True,
                help="What becomes of a value that the database cannot hold; originals of repaired ones are kept.",
            ),
            flag("--drop-columns", help="Drop columns that the schema no longer has; by default they stay."),
            option(
                "--connections",
                type=click.IntRange(1, 64),
                default=4,
                show_default=True,
                metavar="N",
                help="How many tables to load at once.",
            ),
            option(
                "--concurrency",
                type=click.IntRange(1, 64),
                default=8,
                show_default=True,
                metavar="N",
                help="How many files to fetch at once.",
            ),
            wait_option,
            json_option,
        )
    ):
        function = decorate(function)
    return function


repair_option = flag(
    "--repair", help="Fill tables anew that the official client left half loaded: rows, but no line in its books."
)
dry_run_option = flag("--dry-run", help="Say what would be done with each table, DDL included, and change nothing.")


def target_from(given: Mapping[str, Any], environ: Mapping[str, str]) -> Target:
    """Return the database that option or environment name.

    Raises:
        UsageError: none is named, or what is named is none.
    """
    url = given.get("to") or given.get("connection_string") or environ.get("DAP_CONNECTION_STRING")
    url = url or _from_parts(environ)
    if not url:
        raise UsageError("No database is named", hint="Use --connection-string or DAP_CONNECTION_STRING.")
    return target_of(url)


def _from_parts(environ: Mapping[str, str]) -> str | None:
    """Put a PostgreSQL URL together from `DAP_DATABASE_*`, as the official library takes them."""
    host, name = environ.get("DAP_DATABASE_HOST"), environ.get("DAP_DATABASE_NAME")
    if not host or not name:
        return None
    user, password = (quote(environ.get(f"DAP_DATABASE_{part}", ""), safe="") for part in ("USERNAME", "PASSWORD"))
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    port = f":{environ['DAP_DATABASE_PORT']}" if environ.get("DAP_DATABASE_PORT") else ""
    ssl = f"?ssl={environ['DAP_DATABASE_SSL']}" if environ.get("DAP_DATABASE_SSL") else ""
    return f"postgresql://{who}{host}{port}/{quote(name, safe='')}{ssl}"


def replicate_options(settings: Settings, command: SyncCommand, given: Mapping[str, Any]) -> ReplicateOptions:
    """Make the engine's options from the command's. Raises UsageError when they cannot be meant."""
    environ = settings.connection.environ
    return ReplicateOptions(
        command=command,
        namespace=given["namespace"],
        tables=split_tables(given["table"]),
        exclude=split_tables(given["exclude"]) if given.get("exclude") else (),
        target=target_from(given, environ),
        stage=stage_root(given["stage"], environ),
        load=LoadOptions(bad_values=BadValues(given["on_bad_value"]), drop_columns=given["drop_columns"]),
        if_stale=_age(given.get("if_stale")),
        repair=given.get("repair", False),
        expire_logs=_age(given.get("expire_logs")),
        wait=given["wait"],
        connections=given["connections"],
        concurrency=given["concurrency"],
        retry_timeout=settings.connection.retry_timeout,
    )


def run_replication(context: click.Context, command: SyncCommand, given: dict[str, Any]) -> None:
    """Replicate, tell how it ended, and raise what it failed with."""
    settings = settings_of(context)
    options = replicate_options(settings, command, given)
    dry = bool(given["dry_run"])
    with Console(settings.messages, live=not dry) as console:
        if dry:
            seen = run_until_stopped(
                lambda: _preview(settings, options, console), farewell=FAREWELL, at_once=console.still
            )
            _show_preview(seen, console)
            return
        result = run_until_stopped(
            lambda: _replicate(settings, options, console), farewell=FAREWELL, at_once=console.still
        )
        error = error_of(len(result.done), result.failed)
        console.summary(sync_lines(result), failed=bool(result.failed))
        if settings.messages.json:
            exit_code = error.exit_code if error else 0
            console.json_result({"command": command.value, "exit_code": exit_code, **sync_object(result)})
    if error is not None:
        raise error


async def _replicate(settings: Settings, options: ReplicateOptions, console: Console) -> SyncResult:
    async with connect(settings.connection, console.on_event) as connection:
        connection.check()
        result = await replicate(connection.session, options, console.on_event)
        if not result.failed:
            connection.move_on()
        return result


async def _preview(settings: Settings, options: ReplicateOptions, console: Console) -> tuple[PlannedTable, ...]:
    async with connect(settings.connection, console.on_event) as connection:
        return await preview(connection.session, options, console.on_event)


def _show_preview(seen: Sequence[PlannedTable], console: Console) -> None:
    if console.settings.json:
        console.json_result([planned_object(table) for table in seen])
        return
    for table in seen:
        since = f" since {timestamp(table.since)}" if table.since else ""
        expire = f", rows before {timestamp(table.expire_before)} expire" if table.expire_before else ""
        trouble = f" ({table.error.message})" if table.error else ""
        console.result(table.table, f"{table.action.value if table.action else 'fail'}{since}{expire}{trouble}")
        for line in (line for statement in table.ddl for line in f"  {statement};".split("\n")):
            console.result(line)


def planned_object(table: PlannedTable) -> dict[str, Any]:
    """Return what would be done with one table for programs."""
    return {
        "table": table.table,
        "action": table.action.value if table.action else None,
        "since": timestamp(table.since) if table.since else None,
        "ddl": list(table.ddl),
        "expire_before": timestamp(table.expire_before) if table.expire_before else None,
        "error": table.error.as_dict() if table.error else None,
    }


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})([mhd])", text)
    if found is None:
        raise UsageError(f"{text!r} is no age", hint="Write it like 90m, 4h or 1d.")
    return timedelta(seconds=int(found[1]) * {"m": 60, "h": 3600, "d": 86_400}[found[2]])


def sync_lines(result: SyncResult) -> list[str]:
    """Return the summary of a replication for people: a line for each table that changed, then the whole."""
    lines: list[str] = []
    for loaded in result.done:
        counts = loaded.counts
        if counts.written or counts.deleted or counts.expired:
            gone = f", {counts.deleted:,} deleted" if counts.deleted else ""
            gone += f", {counts.expired:,} expired" if counts.expired else ""
            lines.append(f"{loaded.table}: {ACTION_LABELS[loaded.action]}, {counts.written:,} written{gone}")
        lines += [
            f"{loaded.table}.{column}: {wording.count(values, 'value')} repaired"
            for column, values in loaded.counts.repaired.items()
        ]
    for failed in result.failed:
        lines += failure_lines(failed)
    written = sum(loaded.counts.written for loaded in result.done)
    deleted = sum(loaded.counts.deleted for loaded in result.done)
    expired = sum(loaded.counts.expired for loaded in result.done)
    removed = f"{deleted:,} deleted" + (f", {expired:,} expired" if expired else "")
    if any(loaded.counts.repaired for loaded in result.done):
        lines.append(f"Originals of repaired values: {result.repaired_values_folder}")
    source = ", from the sandbox" if result.sandbox else ""
    trouble = f", {len(result.failed):,} failed" if result.failed else ""
    lines.append(
        f"{wording.count(len(result.done), 'table')} up to date{trouble}: {wording.count(written, 'row')} written, "
        f"{removed}, in {wording.duration(result.seconds)}{source}. Database: {result.target}"
    )
    return lines


def sync_object(result: SyncResult) -> dict[str, Any]:
    """Return the outcome of a replication for programs."""
    return {
        "namespace": result.namespace,
        "target": result.target,
        "repaired_values_file": str(result.repaired_values_folder),
        "sandbox": result.sandbox,
        "seconds": round(result.seconds, 3),
        "tables": [
            {
                "table": loaded.table,
                "action": loaded.action.value,
                "written": loaded.counts.written,
                "deleted": loaded.counts.deleted,
                "expired": loaded.counts.expired,
                "repaired": dict(loaded.counts.repaired),
                "watermark": timestamp(loaded.watermark),
                "schema_version": loaded.schema_version,
            }
            for loaded in result.done
        ],
        "gone": gone_objects(result.no_longer_in_service),
        "failed": [{**failure.error.as_dict(), "table": failure.table} for failure in result.failed],
    }


def gone_objects(gone: Sequence[SyncState]) -> list[dict[str, Any]]:
    """Return tables that the service no longer offers for programs."""
    return [{"table": state.table, "watermark": timestamp(state.watermark)} for state in gone]


def timestamp(moment: datetime) -> str:
    """Return a time in UTC as text."""
    return moment.isoformat().replace("+00:00", "Z")


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
