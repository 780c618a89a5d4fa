"""`dap reconcile`: whether a database holds exactly what the service holds."""

import math
from typing import Any

import click

from dapkit.api.connection import connect
from dapkit.cli.console import Console
from dapkit.cli.exitcodes import error_of
from dapkit.cli.formatting import count
from dapkit.cli.logs import comparison_sentence
from dapkit.cli.options import HELP_NAMES, SectionedCommand, flag, global_options, option, settings_of, table_options
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
from dapkit.cli.summary import failure_lines
from dapkit.cli.sync_command import FAREWELL, gone_objects, load_options, replicate_options, timestamp
from dapkit.errors import ReconciliationError, UsageError
from dapkit.events import TableCompared
from dapkit.replication.options import ReplicateOptions
from dapkit.replication.reconcile import ReconcileResult, reconcile
from dapkit.results import SyncCommand

_LONGEST = 80
"""The most characters that are shown of a value."""

_CONTEXT = 20
"""How many of them before two values begin to differ."""

EPILOG = """\b
Examples:
  dap reconcile --namespace canvas --table users --to postgresql://user:password@host/database
  dap reconcile --namespace canvas --table all --to duckdb:college.duckdb --no-sync
  dap reconcile --namespace canvas --table submissions --to mysql://user:password@host/database --sample 1%
\b
The tables are brought up to date first (not with --no-sync). Then a snapshot is taken, put beside each
table, and compared on the database itself; nothing of it stays. A sample spares most of the comparing of
values; the snapshot is fetched and loaded whole all the same.
"""


@click.command("reconcile", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@option("--to", metavar="URL", help="The database, such as duckdb:FILE [DAP_CONNECTION_STRING].")
@flag("--no-sync", help="Do not bring the tables up to date first; only read.")
@option(
    "--sample",
    metavar="PERCENT",
    help="Compare the values of about so many percent of the rows, such as 1 or 0.5%; keys and counts of all.",
)
@load_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Say whether a database holds exactly what the service holds."""
    settings = settings_of(context)
    options, sample = replicate_options(settings, SyncCommand.SYNC, given), percent(given["sample"])
    with Console(settings.messages, live=True) as console:
        result = run_until_stopped(
            lambda: _reconcile(settings, options, console, sync=not given["no_sync"], sample=sample),
            farewell=FAREWELL,
            at_once=console.still,
        )
        error = error_of(len(result.done), result.failed)
        wrong = [each.table for each in result.done if not each.comparison.equal]
        console.summary(lines(result), failed=bool(wrong or result.failed))
        if wrong:
            message = f"{len(wrong)} of {count(len(result.done), 'table')} do not hold what the service holds"
            error = ReconciliationError(message, hint="`dap sync` does not mend this: drop the tables and sync anew.")
        if settings.messages.json:
            code = error.exit_code if error else 0
            console.json_result({"command": "reconcile", "exit_code": code, **as_object(result)})
    if error is not None:
        raise error


async def _reconcile(
    settings: Settings, options: ReplicateOptions, console: Console, *, sync: bool, sample: float | None
) -> ReconcileResult:
    async with connect(settings.connection, console.on_event) as connection:
        return await reconcile(connection.session, options, console.on_event, sync=sync, sample=sample)


def percent(text: str | None) -> float | None:
    """Return the number that a percentage means. Raises UsageError when it is none over 0 to 100."""
    if text is None:
        return None
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 < number <= 100:
        raise UsageError(f"--sample {text!r} is no percentage over 0 to 100", hint="Write it like --sample 1 or 0.5%")
    return number


def lines(result: ReconcileResult) -> list[str]:
    """Return the outcome for people: what differs by key and column, then the whole."""
    told: list[str] = []
    for each in result.done:
        partly = each.comparison.columns_not_compared or each.comparison.compared < each.comparison.rows
        if partly or not each.comparison.equal:
            told += [f"{each.table}: {comparison_sentence(each.comparison)}", *_details(each)]
    for failure in result.failed:
        told += failure_lines(failure)
    equal = sum(each.comparison.equal for each in result.done)
    told.append(
        f"{equal:,} of {count(len(result.done) + len(result.failed), 'table')} equal. Database: {result.target}"
    )
    return told


def _details(compared: TableCompared) -> list[str]:
    comparison = compared.comparison
    kinds = (
        ("missing", comparison.missing_keys),
        ("too many", comparison.extra_keys),
        ("repeated", comparison.repeated_keys),
    )
    told = [f"  {kind}: {', '.join(_key(key) for key in keys)}" for kind, keys in kinds if keys]
    for each in comparison.values:
        live, truth = _excerpts(_shown(each.actual), _shown(each.expected))
        told.append(f"  {_key(each.key)} {each.column}: {live} instead of {truth}")
    return told


def _key(key: tuple[Any, ...]) -> str:
    return "/".join(str(_plain(part)) for part in key)


def _plain(value: Any) -> str | None:
    """Return a value that a driver gave as text: bytes in hexadecimal, times as SQL writes them."""
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return None if value is None else str(value)


def _shown(value: Any) -> str:
    text = _plain(value)
    return "null" if text is None else repr(text) if isinstance(value, str) else text


def _excerpts(one: str, other: str) -> tuple[str, str]:
    """Return two texts that differ, cut to some characters around where they begin to."""
    shorter = min(len(one), len(other))
    same = next((place for place in range(shorter) if one[place] != other[place]), shorter)
    start = max(0, same - _CONTEXT) if max(len(one), len(other)) > _LONGEST else 0
    return _excerpt(one, start), _excerpt(other, start)


def _excerpt(text: str, start: int) -> str:
    cut = text[start : start + _LONGEST]
    return f"{'…' if start else ''}{cut}{'…' if start + _LONGEST < len(text) else ''}"


def as_object(result: ReconcileResult) -> dict[str, Any]:
    """Return the outcome for programs."""
    return {
        "namespace": result.namespace,
        "target": result.target,
        "sandbox": result.sandbox,
        "tables": [
            {
                "table": each.table,
                "equal": each.comparison.equal,
                "watermark": timestamp(each.watermark),
                "rows": each.comparison.rows,
                "compared": each.comparison.compared,
                "columns_not_compared": list(each.comparison.columns_not_compared),
                "missing": each.comparison.missing,
                "extra": each.comparison.extra,
                "repeated": each.comparison.repeated,
                "differing": dict(each.comparison.differing),
                "missing_keys": [_key(key) for key in each.comparison.missing_keys],
                "extra_keys": [_key(key) for key in each.comparison.extra_keys],
                "repeated_keys": [_key(key) for key in each.comparison.repeated_keys],
                "values": [
                    {
                        "key": _key(item.key),
                        "column": item.column,
                        "live": _plain(item.actual),
                        "expected": _plain(item.expected),
                    }
                    for item in each.comparison.values
                ],
            }
            for each in result.done
        ],
        "gone": gone_objects(result.no_longer_in_service),
        "failed": [{**failure.error.as_dict(), "table": failure.table} for failure in result.failed],
    }
