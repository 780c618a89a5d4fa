"""How a run ended: as a table for people and as one JSON object for programs. Pure."""

from pathlib import Path
from typing import Any

from dapkit.cli import formatting as wording
from dapkit.errors import DapError
from dapkit.model import Format, Query
from dapkit.results import RunResult, TableFailed, TableResult

_HEADINGS = ("table", "rows", "files", "size", "", "proven by", "note")
_RIGHT = frozenset({1, 2, 3})


def summary_lines(result: RunResult) -> list[str]:
    """Return the summary table of a run, its totals, and each failure with what to do."""
    lines: list[str] = []
    if result.done:
        heading = list(_HEADINGS)
        heading[4] = "until" if result.incremental else "at"
        done = sorted(result.done, key=lambda table: table.table)
        lines += wording.columns([heading, *(_cells(table) for table in done)], _RIGHT)
        lines.append("")
    lines.append(total_sentence(result))
    for failure in sorted(result.failed, key=lambda failed: failed.table):
        lines += failure_lines(failure)
    return lines


def total_sentence(result: RunResult) -> str:
    """Say what the whole run came to."""
    total = len(result.done) + len(result.failed)
    if result.failed:
        began = f"{len(result.done):,} of {wording.count(total, 'table')} whole, {len(result.failed):,} failed"
    else:
        began = f"{wording.count(total, 'table')} whole"
    rows = [table.rows for table in result.done if table.rows is not None]
    parts = [began]
    if rows:
        parts.append(wording.count(sum(rows), "row"))
    parts.append(wording.count(sum(table.files for table in result.done), "file"))
    parts.append(wording.size(sum(table.bytes for table in result.done)))
    if result.refetched:
        parts.append(f"{wording.size(result.refetched)} fetched twice")
    source = ", from the sandbox" if result.sandbox else ""
    return f"{', '.join(parts)}, in {wording.duration(result.seconds)}{source}. Folder: {result.output}"


def failure_lines(failure: TableFailed) -> list[str]:
    """Say of one table why it failed, what to do, and what the service's support asks for."""
    error = failure.error
    lines = [f"Failed: {failure.table}: {error.message} [{error.code}]"]
    if error.uuid:
        lines.append(f"  uuid for support: {error.uuid}")
    if error.hint:
        lines.append(f"  Hint: {error.hint}")
    return lines


def look_line(result: RunResult, python: str) -> str | None:
    """Return one line for a shell that shows the first rows of the largest table; None without rows.

    `python` is the interpreter to name, one that has duckdb.
    """
    filled = [table for table in result.done if table.files and table.rows != 0]
    if not filled:
        return None
    largest = max(filled, key=lambda table: table.bytes)
    suffix = result.query.format.value + (".gz" if result.query.format.gzipped else "")
    pattern = (largest.folder / f"*.{suffix}").as_posix()
    readers = {Format.JSONL: "read_json", Format.PARQUET: "read_parquet"}
    reader = readers.get(result.query.format, "read_csv")
    query = f"duckdb.sql(\\\"from {reader}('{pattern}') limit 5\\\").show()"
    return f'Look at {largest.table}:  {python} -c "import duckdb; {query}"'


def run_object(result: RunResult, error: DapError | None) -> dict[str, Any]:
    """Return a run as the object that `--json` prints; the names of its fields only grow.

    Sizes are bytes, times are as the service wrote them, `seconds` is the wall time of the run.
    """
    status = "whole" if not result.failed else "partly" if result.done else "failed"
    return {
        "command": "incremental" if result.incremental else "snapshot",
        "status": status,
        "exit_code": error.exit_code if error else 0,
        "namespace": result.namespace,
        "query": query_object(result.query),
        "output": str(result.output),
        "sandbox": result.sandbox,
        "tables": [table_object(table) for table in sorted(result.done, key=lambda table: table.table)],
        "failed": [
            {**failure.error.as_dict(), "table": failure.table}
            for failure in sorted(result.failed, key=lambda failed: failed.table)
        ],
        "rows": sum(table.rows or 0 for table in result.done),
        "files": sum(table.files for table in result.done),
        "bytes": sum(table.bytes for table in result.done),
        "fetched_bytes": result.fetched,
        "refetched_bytes": result.refetched,
        "seconds": round(result.seconds, 3),
        "notices": list(result.notices),
    }


def query_object(query: Query) -> dict[str, Any]:
    """Return a query as a JSON object; absent parts are null."""
    return {
        "format": query.format.value,
        "mode": query.mode.value if query.mode else None,
        "since": query.since,
        "until": query.until,
    }


def table_object(table: TableResult) -> dict[str, Any]:
    """Return one whole table as a JSON object."""
    return {
        "table": table.table,
        "job_id": table.job_id,
        "folder": str(table.folder),
        "files": table.files,
        "bytes": table.bytes,
        "rows": table.rows,
        "schema_version": table.schema_version,
        "at": table.at,
        "since": table.since,
        "until": table.until,
        "verified_by": table.verified_by,
        "reused": table.reused,
    }


def shown_path(path: Path, current: Path | None) -> str:
    """Write a path relative to the current folder, if there is one, where it lies in it."""
    return str(path.relative_to(current)) if current and path.is_relative_to(current) else str(path)


def _cells(table: TableResult) -> tuple[str, ...]:
    return (
        table.table,
        "?" if table.rows is None else f"{table.rows:,}",
        f"{table.files:,}",
        wording.size(table.bytes),
        table.at or table.until or "",
        table.verified_by,
        "was here already" if table.reused else "",
    )
