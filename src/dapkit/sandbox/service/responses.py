"""The documented answers, as values: nothing here is added to what the service is known to say.

Answers are JSON objects; a refusal is an exception that carries one, with its status and headers.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from dapkit.sandbox.service.clock import timestamp
from dapkit.sandbox.service.identifiers import JobIdentity

Json = dict[str, Any]


class RefusedError(Exception):
    """An error answer: raised by any rule, sent by the routes."""

    def __init__(self, status: int, error: Json | None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body: Json = {} if error is None else {"error": error}
        self.headers = dict(headers or {})


def _error(kind: str, message: str, /, **more: object) -> Json:
    return {"type": kind, "uuid": str(uuid.uuid4()), "message": message, **more}


def invalid(message: str, *, line: int = 1, column: int = 1, character: int = 0) -> RefusedError:
    """A malformed request, with the place in its body."""
    location = {"line": line, "column": column, "character": character}
    return RefusedError(400, _error("ValidationError", message, location=location))


def out_of_range(earliest_ms: int) -> RefusedError:
    """A range that is not kept; names the earliest permitted start."""
    since = timestamp(earliest_ms)
    return RefusedError(400, _error("OutOfRange", f"Records are available since {since} only.", since=since))


def snapshot_required(since_ms: int, until_ms: int) -> RefusedError:
    """A table that was reloaded since."""
    message = "The table has been reloaded: take a snapshot before asking for changes."
    span = {"since": timestamp(since_ms), "until": timestamp(until_ms)}
    return RefusedError(400, _error("SnapshotRequired", message, **span))


def unauthenticated(message: str) -> RefusedError:
    """A token that is missing, wrong or expired."""
    return RefusedError(401, _error("AuthenticationError", message))


def forbidden(kind: str, message: str) -> RefusedError:
    """A caller who may not do this."""
    return RefusedError(403, _error(kind, message))


def not_found(kind: str, identifier: str) -> RefusedError:
    """A namespace, table, job or object that is unknown or gone."""
    return RefusedError(404, _error("NotFoundError", f"The {kind} was not found.", id=identifier, kind=kind))


def too_many(retry_after: str) -> RefusedError:
    """A budget that is used up."""
    return RefusedError(429, _error("TooManyRequests", "Rate limit exceeded."), {"Retry-After": retry_after})


def broken(status: int = 500, message: str = "") -> RefusedError:
    """A failure of the service itself."""
    return RefusedError(status, _error("ProcessingError", message))


def gateway_timeout() -> RefusedError:
    """A failure of the gateway, which says less."""
    return RefusedError(504, {"message": "Endpoint request timed out"})


def _job(identifier: str, status: str, expires_ms: int) -> Json:
    return {"id": identifier, "status": status, "expires_at": timestamp(expires_ms)}


def job_in_progress(identifier: str, status: str, expires_ms: int) -> Json:
    """A job that is waiting or running."""
    return _job(identifier, status, expires_ms)


def job_complete(identifier: str, expires_ms: int, job: JobIdentity, *, objects: Sequence[str], version: int) -> Json:
    """A job whose result is there."""
    answer = _job(identifier, "complete", expires_ms)
    answer |= {"objects": [{"id": item} for item in objects], "schema_version": version}
    if job.since_ms is None:
        return answer | {"at": timestamp(job.until_ms)}
    return answer | {"since": timestamp(job.since_ms), "until": timestamp(job.until_ms)}


def job_failed(identifier: str, expires_ms: int) -> Json:
    """A job that came to nothing; its error stays the same however often it is asked for."""
    error = {
        "type": "ProcessingError",
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, identifier)),
        "message": "The job could not be processed.",
    }
    return _job(identifier, "failed", expires_ms) | {"error": error}
