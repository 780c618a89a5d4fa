"""The arguments of the library's methods, checked and turned into requests before anything is requested or written."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dapkit.config import arguments
from dapkit.config.settings import staging_root
from dapkit.errors import RequestError, UsageError
from dapkit.export.options import ExportOptions, ExportRequest, member
from dapkit.export.times import ParsedTime, age_argument, require_order, start_argument, time_argument
from dapkit.model import Format, Mode, Query
from dapkit.protocol.secrets import Address

if TYPE_CHECKING:
    from dapkit.replication.options import SyncRequest
    from dapkit.results import SyncCommand
    from dapkit.targets.base import Target

NAMESPACE = "the name of a namespace, such as canvas"
TABLE = "the name of a table"
URL_HINT = "Use a URL such as duckdb:college.duckdb or postgresql://user:password@host/database."


def export_request(
    namespace: object, tables: object, options: object, *, times: Mapping[str, Any], retry_timeout: float
) -> ExportRequest:
    """Return the request for a snapshot or, with times of `increment_times`, for an increment. Raises UsageError."""
    given = _values(options, ExportOptions, "ExportOptions")
    return ExportRequest(
        namespace=arguments.text("namespace", namespace, NAMESPACE),
        tables=arguments.names("tables", tables),
        retry_timeout=retry_timeout,
        **{**given, "output": Path(given["output"])},
        **times,
    )


def increment_times(since: object, until: object = None) -> dict[str, Any]:
    """Return the start and the end of an increment as fields of a request. Raises UsageError."""
    start = age_argument(since) or start_argument("since", since)
    end = None if until is None else age_argument(until) or time_argument("until", until)
    if isinstance(start, ParsedTime) and isinstance(end, ParsedTime):
        require_order(start, end)
    last = end.text if isinstance(end, ParsedTime) else end
    if isinstance(start, Path):
        return {"since_folder": start, "until": last}
    return {"since": start.text if isinstance(start, ParsedTime) else start, "until": last}


def record_times(since: object, until: object) -> dict[str, Any]:
    """Return the times of `records` as fields of a request: none for all rows. Raises UsageError."""
    if since is not None:
        return increment_times(since, until)
    if until is not None:
        raise UsageError("until is given without since", hint="Pass since too, or neither of them.")
    return {}


def sync_request(
    command: "SyncCommand", namespace: object, tables: object, to: object, options: object, *, retry_timeout: float
) -> "SyncRequest":
    """Return the request for loading tables into a database. Raises UsageError."""
    from dapkit.replication.options import SyncOptions, SyncRequest  # noqa: PLC0415, only databases need it

    given = _values(options, SyncOptions, "SyncOptions")
    return SyncRequest(
        command=command,
        namespace=arguments.text("namespace", namespace, NAMESPACE),
        tables=arguments.names("tables", tables),
        target=target(to),
        retry_timeout=retry_timeout,
        **{**given, "stage": staging_root(given["stage"])},
    )


def target(to: object) -> "Target":
    """Return the database that a URL names. Raises UsageError."""
    from dapkit.targets.registry import target_of  # noqa: PLC0415, only databases need it

    if isinstance(to, Path):
        raise arguments.invalid("to", to, "the URL of a database", f"For a DuckDB file, pass 'duckdb:{to}'.")
    return target_of(Address(arguments.text("to", to, "the URL of a database", URL_HINT)))


def checked_query(query: object) -> Query:
    """Return a query whose times the service accepts. Raises UsageError."""
    given = arguments.require("query", query, Query, "a Query")
    since = None if given.since is None else time_argument("since", given.since)
    until = None if given.until is None else time_argument("until", given.until)
    if until is not None:
        require_order(arguments.require("since", since, ParsedTime, "a time if until is one"), until)
    return Query(
        format=member(Format, given.format, "format"),
        mode=None if given.mode is None else member(Mode, given.mode, "mode"),
        since=None if since is None else since.text,
        until=None if until is None else until.text,
    )


def _values(options: object, kind: type, name: str) -> dict[str, Any]:
    chosen = kind() if options is None else arguments.require("options", options, kind, f"{name} or None")
    return {each.name: getattr(chosen, each.name) for each in fields(kind)}


def check_sample(sample: float | None) -> None:
    """Raise UsageError unless the value is a percentage greater than 0, or None."""
    if sample is not None:
        arguments.number("sample", sample, least=0, most=100)
    if sample == 0:
        raise arguments.invalid("sample", sample, "a percentage greater than 0")


def check_object_status(status: int) -> None:
    """Raise RequestError unless the object store returned an object."""
    if status != 200:
        message = f"The object store responded with status {status}"
        raise RequestError(message, hint="Sign the object again, and read its new URL.")
