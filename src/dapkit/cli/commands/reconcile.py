"""`dap reconcile`: a database compared with the service."""

from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.logs import comparison_text
from dapkit.cli.options import HELP_NAMES, SectionedCommand, flag, global_options, option, settings_of, table_options
from dapkit.cli.parameters import percentage
from dapkit.cli.run_command import RESUME, run_connected
from dapkit.cli.summary import Report, count_fields, failed_objects, unexplained
from dapkit.cli.sync_command import database_option, load_options, state_objects, sync_request
from dapkit.events import TableCompared
from dapkit.formatting import count
from dapkit.model import format_utc
from dapkit.replication.reconcile import ReconcileResult, reconcile
from dapkit.results import SyncCommand

_MAX_LENGTH = 80
"""How many characters of a value are shown."""

_CONTEXT = 20
"""How many of them precede the first difference."""

EPILOG = """\b
Examples:
  dap reconcile --namespace canvas --table users \\
      --to postgresql://user:password@host/database
  dap reconcile --namespace canvas --table all --to duckdb:college.duckdb \\
      --no-sync
  dap reconcile --namespace canvas --table submissions \\
      --to mysql://user:password@host/database --sample 1%
\b
The tables are updated first (unless --no-sync is used). Then a snapshot is
downloaded, loaded into temporary tables, and compared in the database.
"""


@click.command("reconcile", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@table_options
@database_option
@flag("--no-sync", help="Only read: do not update the tables first.")
@option(
    "--sample",
    callback=percentage,
    metavar="PERCENT",
    help="Compare the values of about this percentage of the rows, such as 0.5%; keys are always compared.",
)
@load_options
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Check whether a database matches the service exactly."""
    settings = settings_of(context)
    request, sync, sample = sync_request(settings, SyncCommand.SYNC, given), not given["no_sync"], given["sample"]
    with Console(settings.messages, live=True) as console:
        result = run_connected(
            settings,
            console,
            lambda session: reconcile(session, request, console.on_event, sync=sync, sample=sample),
            hint=RESUME,
        )
        error = result.error
        console.report(reconcile_report(result))
        if settings.messages.json:
            code = error.exit_code if error else 0
            console.json_result({"command": "reconcile", "exit_code": code, **as_object(result)})
    if error is not None:
        raise error


def reconcile_report(result: ReconcileResult) -> Report:
    """Return the report: the differences by key and column, then the totals."""
    partial: list[str] = []
    different: list[str] = []
    for each in result.done:
        line = f"{each.table}: {comparison_text(each.comparison)}"
        if not each.comparison.equal:
            different += [line, *_details(each)]
        elif each.comparison.columns_not_compared or each.comparison.compared < each.comparison.rows:
            partial.append(line)
    equal = sum(each.comparison.equal for each in result.done)
    total = count(len(result.done) + len(result.failed), "table")
    return Report(
        lines=tuple(partial),
        problems=tuple(different),
        totals=f"{equal:,} of {total} equal. Database: {result.target}",
        failed=unexplained(len(result.done), result.failed),
        fields={**count_fields(result.done, result.failed), "equal": equal},
    )


def _details(compared: TableCompared) -> list[str]:
    comparison = compared.comparison
    kinds = (
        ("missing", comparison.missing_keys),
        ("extra", comparison.extra_keys),
        ("repeated", comparison.repeated_keys),
    )
    found = [f"  {kind}: {', '.join(_key(key) for key in keys)}" for kind, keys in kinds if keys]
    for each in comparison.values:
        actual, expected = _excerpts(_shown(each.actual), _shown(each.expected))
        found.append(f"  {_key(each.key)} {each.column}: {actual} instead of {expected}")
    return found


def _key(key: tuple[Any, ...]) -> str:
    return "/".join(str(_plain(part)) for part in key)


def _plain(value: Any) -> str | None:
    """Return a driver's value as text: bytes in hexadecimal, times as in SQL."""
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return None if value is None else str(value)


def _shown(value: Any) -> str:
    text = _plain(value)
    return "null" if text is None else repr(text) if isinstance(value, str) else text


def _excerpts(one: str, other: str) -> tuple[str, str]:
    """Return two different texts, shortened to the part around their first difference."""
    # Both excerpts start at the same position, so that the reader can compare them character by character.
    shorter = min(len(one), len(other))
    same = next((index for index in range(shorter) if one[index] != other[index]), shorter)
    start = max(0, same - _CONTEXT) if max(len(one), len(other)) > _MAX_LENGTH else 0
    return _excerpt(one, start), _excerpt(other, start)


def _excerpt(text: str, start: int) -> str:
    cut = text[start : start + _MAX_LENGTH]
    return f"{'…' if start else ''}{cut}{'…' if start + _MAX_LENGTH < len(text) else ''}"


def as_object(result: ReconcileResult) -> dict[str, Any]:
    """Return the result for programs."""
    return {
        "namespace": result.namespace,
        "target": result.target,
        "sandbox": result.sandbox,
        "tables": [
            {
                "table": each.table,
                "equal": each.comparison.equal,
                "watermark": format_utc(each.watermark),
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
                        "actual": _plain(item.actual),
                        "expected": _plain(item.expected),
                    }
                    for item in each.comparison.values
                ],
            }
            for each in result.done
        ],
        "no_longer_in_service": state_objects(result.no_longer_in_service),
        "failed": failed_objects(result.failed),
    }
