"""Stored results for people and as JSON: shared by `dap results` and `dap prune`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dapkit.cli.table_layout import Column, Layout, lay_out
from dapkit.export.stored_results import StoredResult
from dapkit.formatting import size
from dapkit.model import utc_time


def result_layout(results: Sequence[StoredResult], folder: Path, width: int | None) -> Layout:
    """Return results as a table; without a terminal, with all columns. Paths are relative to the folder."""

    def column(heading: str, cells: Sequence[str], phrase: Callable[[str], str]) -> Column:
        # On a terminal, what is equal in all rows goes into the summary.
        if width is None:
            return Column(heading=heading, cells=tuple(cells))

        def in_words(shown: Sequence[str]) -> str:
            return phrase(shown[0]) if len(set(shown)) == 1 else ""

        return Column(heading=heading, cells=tuple(cells), phrase=in_words)

    return lay_out(
        [
            Column(heading="table", cells=tuple(each.table for each in results)),
            column("namespace", [each.namespace for each in results], lambda name: f"namespace {name}"),
            column("kind", [each.kind for each in results], lambda kind: kind.removesuffix("s") + "s"),
            column("format", [_format(each) for each in results], lambda name: name),
            column("since", [_short(each.since) for each in results], lambda time: time and f"since {time} UTC"),
            column("at / until", [_short(each.at or each.until) for each in results], lambda time: f"at {time} UTC"),
            Column(heading="rows", cells=tuple(_number(each.rows) for each in results), right=True),
            Column(heading="size", cells=tuple(size(each.bytes) for each in results), right=True),
            Column(heading="path", cells=tuple(str(each.path.relative_to(folder)) for each in results)),
        ],
        width,
    )


def result_object(result: StoredResult) -> dict[str, Any]:
    """Return a result as JSON."""
    return {
        "namespace": result.namespace,
        "table": result.table,
        "kind": result.kind,
        "form": str(result.form),
        "format": result.format,
        "mode": result.mode,
        "at": result.at,
        "since": result.since,
        "until": result.until,
        "rows": result.rows,
        "bytes": result.bytes,
        "path": str(result.path),
        "files": len(result.files),
        "job_id": result.job_id,
        "schema_version": result.schema_version,
        "completed_at": result.completed_at,
        "sandbox": result.sandbox,
    }


def _format(result: StoredResult) -> str:
    return " ".join(filter(None, (result.form, result.format, "condensed" if result.mode == "condensed" else "")))


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _short(time: str | None) -> str:
    """Return a time of the service in UTC, to the minute."""
    return "" if time is None else f"{utc_time(time):%Y-%m-%d %H:%M}"
