"""PURE. The result of a run: a table for people, and a JSON object for programs."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dapkit.cli.table_layout import Column, lay_out
from dapkit.errors import DapError
from dapkit.export.flatten import FlattenResult
from dapkit.export.run_result import RunResult
from dapkit.failures import TableFailed, says_it_all
from dapkit.formatting import checks, count, duration, size
from dapkit.model import Format, Query, format_utc
from dapkit.results import TableResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run ended, for people and for log lines.

    Attributes:
        lines: a table, and details.
        problems: what is shown even if success is to be silent.
        totals: the run in one sentence.
        failed: the tables that need their own report, because the error of the command does not give the reason.
        fields: the totals, for a log line in JSON.
        advice: what to do next, for people at a terminal.
    """

    lines: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    totals: str
    failed: tuple[TableFailed, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    advice: str | None = None


def unexplained(done: int, failed: Sequence[TableFailed]) -> tuple[TableFailed, ...]:
    """Return the failures that the error of the command does not explain."""
    return () if says_it_all(done, failed) else tuple(failed)


def export_report(result: RunResult, width: int | None, python: str) -> Report:
    """Return the report of an export.

    Args:
        result: of the run.
        width: columns of the terminal; None if there is none.
        python: an interpreter that has duckdb.
    """
    layout = lay_out(_columns(sorted(result.done, key=lambda table: table.table)), width)
    return Report(
        lines=layout.lines,
        totals=total_sentence(result, layout.phrases),
        failed=unexplained(len(result.done), result.failed),
        fields={name: run_object(result, result.error)[name] for name in _TOTALS}
        | count_fields(result.done, result.failed),
        advice=preview_line(result, python) if width is not None else None,
    )


def flatten_report(result: FlattenResult, width: int | None) -> Report:
    """Return the report of flattened results; `width` as above."""
    layout = lay_out(_columns(sorted(result.done, key=lambda table: (table.table, table.watermark))), width)
    total = len(result.done) + len(result.failed)
    failed = f", {len(result.failed):,} failed" if result.failed else ""
    about_tables = "".join(f"; {phrase}" for phrase in layout.phrases)
    return Report(
        lines=layout.lines,
        totals=f"{len(result.done):,} of {count(total, 'result')} flat{failed}{about_tables}. Folder: {result.folder}",
        failed=unexplained(len(result.done), result.failed),
        fields=count_fields(result.done, result.failed),
    )


_TOTALS = ("status", "exit_code", "rows", "files", "bytes", "seconds")


def count_fields(done: Sequence[object], failed: Sequence[TableFailed]) -> dict[str, int]:
    """Return the numbers of tables for a log line."""
    return {"tables": len(done) + len(failed), "complete": len(done), "failed": len(failed)}


def _columns(done: Sequence[TableResult]) -> list[Column]:
    """Return the columns of the table of complete tables, the most important ones first."""
    incremental = any(table.at is None for table in done)
    rows = tuple("?" if table.rows is None else f"{table.rows:,}" for table in done)
    return [
        Column(heading="table", cells=tuple(table.table for table in done)),
        Column(heading="rows", cells=rows, right=True),
        Column(heading="size", cells=tuple(size(table.bytes) for table in done), right=True),
        Column(
            heading="files", cells=tuple(f"{len(table.files):,}" for table in done), right=True, phrase=lambda _: ""
        ),
        Column(
            heading="until" if incremental else "at",
            cells=tuple(table.watermark for table in done),
            phrase=lambda times: f"{'until' if incremental else 'at'} {_range(times)}",
        ),
        Column(
            heading="note",
            cells=tuple("already downloaded" if table.reused else "" for table in done),
            phrase=lambda notes: _shares([note for note in notes if note], len(notes)),
        ),
        Column(
            heading="verified",
            cells=tuple(checks(table.verified_by) for table in done),
            phrase=lambda cells: f"verified: {_shares(cells, len(cells))}",
        ),
    ]


def _range(times: Sequence[str]) -> str:
    return min(times) if len(set(times)) == 1 else f"{min(times)} to {max(times)}"


def _shares(words: Sequence[str], total: int) -> str:
    """Return each distinct text, with the number of tables if it does not apply to all: CRC (2 tables)."""
    counts = Counter(words).most_common()
    return " / ".join(word if number == total else f"{word} ({count(number, 'table')})" for word, number in counts)


def total_sentence(result: RunResult, phrases: Sequence[str] = ()) -> str:
    """Return the totals of a run in one sentence; `phrases` says what applies to its tables."""
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
    parts.append(f"in {duration(result.seconds)}")
    source = ", from the sandbox" if result.sandbox else ""
    about_tables = "".join(f"; {phrase}" for phrase in phrases)
    return f"{', '.join(parts)}{source}{about_tables}. Folder: {result.output}"


_NESTED = """rows.project(", ".join(f"{name}.*" for name in rows.columns))"""
_GZIP = 'compression="gzip"'  # not left to DuckDB, which does not recognize it if the path contains a question mark
_SHOW = {
    # Any of the columns key, value and meta may be missing.
    Format.JSONL: f"rows = duckdb.read_json(sys.argv[1], {_GZIP}); {_NESTED}",
    Format.PARQUET: f"rows = duckdb.read_parquet(sys.argv[1]); {_NESTED}",
    Format.CSV: f"duckdb.read_csv(sys.argv[1], {_GZIP})",
    # TSV is what PostgreSQL's COPY writes, which knows no quotes.
    Format.TSV: rf"""duckdb.read_csv(sys.argv[1], {_GZIP}, sep="\t", quotechar="", na_values="\\N")""",
}
"""Python code that reads a file and shows each column of the table."""


def preview_line(result: RunResult, python: str) -> str | None:
    """Return a shell command that shows the first rows of the largest table, or None if there are no rows.

    `python` is an interpreter that has duckdb.
    """
    # Empty files would show nothing; the number of rows is unknown if they could not be counted.
    filled = [table for table in result.done if table.files and table.rows != 0]
    if not filled:
        return None
    largest = max(filled, key=lambda table: table.bytes)
    if result.flat:
        name = f"{result.namespace}.{largest.table}{'_changes' if result.incremental else ''}"
        query = [python, "-m", "dapkit", "sql", "--from", str(result.output), f"FROM {name} LIMIT 5"]
        return f"Look at {largest.table}:  {shlex.join(query)}"
    if "\\" in largest.folder.as_posix():
        return None  # DuckDB takes a backslash for a separator
    suffix = result.query.format.value + (".gz" if result.query.format.gzipped else "")
    code = f"import sys, duckdb; {_SHOW[result.query.format]}.limit(5).show()"
    # A folder's name may contain what DuckDB takes for a pattern.
    folder = re.sub(r"[\[\]*?]", r"[\g<0>]", largest.folder.as_posix())
    arguments = [python, "-c", code, f"{folder}/*.{suffix}"]
    return f"Look at {largest.table}:  {shlex.join(arguments)}"


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
