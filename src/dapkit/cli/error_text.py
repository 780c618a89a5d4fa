"""PURE. The error that ends a command, as it is printed."""

import json
from collections.abc import Mapping
from typing import Any

from dapkit.cli.invocation import ErrorFormat
from dapkit.cli.json_lines import error_fields, json_line
from dapkit.errors import DapError, PartialFailureError


def error_text(error: DapError, error_format: ErrorFormat, log_fields: Mapping[str, Any], now: float) -> str:
    """Return one or more lines. `log_fields` are those of every JSON line; `now` is in seconds since the epoch."""
    if error_format is ErrorFormat.JSON:
        return json.dumps(error.as_dict())
    if error_format is ErrorFormat.JSON_LINE:
        return json_line(now, "error", error.message, {**log_fields, **error_fields(error), "event": "error"})
    from dapkit.protocol.redaction import printable  # noqa: PLC0415, only after a failure

    # The report of the failures, just above, has named the tables.
    message = error.counted if isinstance(error, PartialFailureError) else error.message
    prefix = f"{error.table}: " if error.table and error.table not in message else ""
    lines = [f"Error: {prefix}{message}"]
    if error.uuid:
        lines.append(f"uuid for support: {error.uuid}")
    if error.hint:
        lines.append(f"Hint: {error.hint}")
    return "\n".join(printable(line) for line in lines)
