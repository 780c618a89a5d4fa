"""PURE. The result of a run: a table for people, and a JSON object for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dapkit.errors import DapError
from dapkit.formatting import checks, columns, count, duration, size
from dapkit.model import Format, Query, format_utc
from dapkit.results import RunResult, TableFailed, TableResult

_HEADINGS = ("table", "rows", "files", "size", "", "verified", "note")
_RIGHT = frozenset({1, 2, 3})


def summary_lines(result: RunResult) -> list[str]:
    """Return the table of complete tables, the totals, and each failure with its hint."""
    lines: list[str] = []
    if result.done:
        heading = list(_HEADINGS)
        heading[4] = "until" if result.incremental else "at"
        done = sorted(result.done, key=lambda table: table.table)
        lines += columns([heading, *(_cells(table) for table in done)], _RIGHT)
        lines.append("")
    lines.append(total_sentence(result))
    for failure in sorted(result.failed, key=lambda failed: failed.table):
        lines += failure_lines(failure)
    return lines


def total_sentence(result: RunResult) -> str:
    """Return the totals of a run in one sentence."""
    total = len(result.done) + len(result.failed)
    if result.failed:
        state = f"{len(result.done):,} of {count(total, 'table')} complete, {len(result.failed):,} failed"
    else:
        state = f"{count(total, 'table')} complete"
    # An encrypted Parquet file, for example, does not reveal its number of rows.
    rows = [table.rows for table in result.done if table.rows is not None]
    parts = [state]
    if rows:
        parts.append(count(sum(rows), "row"))
    parts.append(count(sum(len(table.files) for table in result.done), "file"))
    parts.append(size(sum(table.bytes for table in result.done)))
    if result.refetched:
        parts.append(f"{size(result.refetched)} downloaded twice")
    source = ", from the sandbox" if result.sandbox else ""
    return f"{', '.join(parts)}, in {duration(result.seconds)}{source}. Folder: {result.output}"


def failure_lines(failure: TableFailed) -> list[str]:
    """Say why a table failed, with the hint, and the uuid that the service's support asks for."""
    error = failure.error
    lines = [f"Failed: {failure.table}: {error.message} [{error.code}]"]
    if error.uuid:
        lines.append(f"  uuid for support: {error.uuid}")
    if error.hint:
        lines.append(f"  Hint: {error.hint}")
    return lines


def preview_line(result: RunResult, python: str) -> str | None:
    """Return a shell command that shows the first rows of the largest table, or None if there are no rows.

    `python` is an interpreter that has duckdb.
    """
    # Empty files would show nothing; the number of rows is unknown if they could not be counted.
    filled = [table for table in result.done if table.files and table.rows != 0]
    if not filled:
        return None
    largest = max(filled, key=lambda table: table.bytes)
    suffix = result.query.format.value + (".gz" if result.query.format.gzipped else "")
    pattern = (largest.folder / f"*.{suffix}").as_posix()
    readers = {Format.JSONL: "read_json", Format.PARQUET: "read_parquet"}
    reader = readers.get(result.query.format, "read_csv")
    # The quotes are escaped because the Python code is in double quotes itself.
    query = f"duckdb.sql(\\\"from {reader}('{pattern}') limit 5\\\").show()"
    return f'Look at {largest.table}:  {python} -c "import duckdb; {query}"'


def run_object(result: RunResult, error: DapError | None) -> dict[str, Any]:
    """Return the object that `--json` prints. Sizes are in bytes; times are as the service wrote them."""
    status = "complete" if not result.failed else "partial" if result.done else "failed"
    return {
        "command": "incremental" if result.incremental else "snapshot",
        "status": status,
        "exit_code": error.exit_code if error else 0,
        "namespace": result.namespace,
        "query": query_object(result.query),
        "output": str(result.output),
        "sandbox": result.sandbox,
        "tables": [table_object(table) for table in sorted(result.done, key=lambda table: table.table)],
        "failed": failed_objects(sorted(result.failed, key=lambda failed: failed.table)),
        "rows": sum(table.rows or 0 for table in result.done),
        "files": sum(len(table.files) for table in result.done),
        "bytes": sum(table.bytes for table in result.done),
        "fetched_bytes": result.fetched,
        "refetched_bytes": result.refetched,
        "seconds": round(result.seconds, 3),
        "notices": list(result.notices),
    }


def failed_objects(failed: Sequence[TableFailed]) -> list[dict[str, Any]]:
    """Return the tables that failed as JSON objects."""
    return [{**failure.error.as_dict(), "table": failure.table} for failure in failed]


def query_object(query: Query) -> dict[str, Any]:
    """Return a query as a JSON object."""
    return {
        "format": query.format.value,
        "mode": query.mode.value if query.mode else None,
        "since": query.since,
        "until": query.until,
    }


def table_object(table: TableResult) -> dict[str, Any]:
    """Return one complete table as a JSON object."""
    return {
        "table": table.table,
        "job_id": table.job_id,
        "folder": str(table.folder),
        "files": len(table.files),
        "bytes": table.bytes,
        "rows": table.rows,
        "schema_version": table.schema_version,
        "at": table.watermark if table.at else None,
        "since": format_utc(table.since) if table.since else None,
        "until": table.watermark if table.until else None,
        "verified_by": table.verified_by,
        "reused": table.reused,
    }


def shown_path(path: Path, current: Path | None) -> str:
    """Return a path relative to the current folder if it is inside it."""
    return str(path.relative_to(current)) if current and path.is_relative_to(current) else str(path)


def _cells(table: TableResult) -> tuple[str, ...]:
    return (
        table.table,
        "?" if table.rows is None else f"{table.rows:,}",
        f"{len(table.files):,}",
        size(table.bytes),
        table.watermark,
        checks(table.verified_by),
        "already downloaded" if table.reused else "",
    )
