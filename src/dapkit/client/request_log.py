"""The log lines of requests, at level debug: method, URL without its query, status, duration, and the error."""

import logging
from typing import Any, Final

from dapkit.errors import DapError
from dapkit.protocol.redaction import display_url

_LOG: Final = logging.getLogger(__name__)


def log_request(
    method: str,
    url: str,
    *,
    status: int | None,
    seconds: float,
    error: DapError | None = None,
    table: str | None = None,
    job_id: str | None = None,
) -> None:
    """Log one request.

    Args:
        method: of the request.
        url: its URL. What follows `?` is left out: it may be a signature.
        status: of the response; None without one.
        seconds: from sending the request to the end of the response.
        error: what failed, without secrets.
        table: the table that it concerns.
        job_id: the job that it concerns.
    """
    if not _LOG.isEnabledFor(logging.DEBUG):
        return
    shown = display_url(url)
    fields: dict[str, Any] = {
        "event": "request",
        "method": method,
        "url": shown,
        "status": status,
        "seconds": round(seconds, 3),
        "dap_table": table,
        "job_id": job_id,
        "code": error.code if error else None,
        "uuid": error.uuid if error else None,
    }
    parts = [f"{method} {shown}: {status or 'no response'} in {seconds:.3f} s"]
    if error is not None:
        parts.append(error.message)
        if error.uuid:
            parts.append(f"uuid {error.uuid}")
    _LOG.debug("%s", ", ".join(parts), extra={"fields": fields})
