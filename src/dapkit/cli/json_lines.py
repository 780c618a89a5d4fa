"""PURE. Log lines as JSON. The fields with a name of the official client mean the same as there."""

import json
from collections.abc import Mapping
from typing import Any

from dapkit.errors import DapError


def common_fields(run_id: str, *, namespace: str | None = None, client_id: str | None = None) -> dict[str, Any]:
    """Return the fields of every line of one call, with the values for a line without an event."""
    return {
        "dap_namespace": namespace,
        "dap_table": None,
        "dap_client_id": client_id,
        "run_id": run_id,
        "event": "message",
        "job_id": None,
    }


def error_fields(error: DapError, table: str | None = None) -> dict[str, Any]:
    """Return an error as fields of a line; `table` is the one that it concerns, if it does not say so."""
    fields = error.as_dict()
    del fields["message"]  # the line has it already
    fields["table"] = fields["dap_table"] = error.table or table
    return fields


def json_line(time: float, level: str, message: str, fields: Mapping[str, Any]) -> str:
    """Return one JSON object in ASCII. `time` is in seconds since the epoch."""
    from datetime import UTC, datetime  # noqa: PLC0415, `dap --help` does not need it

    timestamp = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": timestamp, "level": level.upper(), "message": message, **fields}, default=str)
