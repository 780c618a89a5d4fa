"""The response bodies of the API as values. They contain the documented fields and no others."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from dapkit.sandbox.data.dataset import DataQuery
from dapkit.sandbox.service.clock import timestamp

Json = dict[str, Any]


class ApiError(Exception):
    """An error response. Any rule may raise it; the routes send it."""

    def __init__(self, status: int, error: Json | None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body: Json = {} if error is None else {"error": error}
        self.headers = dict(headers or {})


def _error(kind: str, message: str, /, **more: object) -> Json:
    return {"type": kind, "uuid": str(uuid.uuid4()), "message": message, **more}


def with_qualified_type(body: Json) -> Json:
    """Return a body whose error, if it has one, has a qualified type, such as `com.example.OutOfRangeError`."""
    error = body.get("error", {})
    if "type" not in error:
        return body
    return body | {"error": error | {"type": f"com.example.{error['type'].removesuffix('Error')}Error"}}


def invalid_request(message: str, *, line: int = 1, column: int = 1, character: int = 0) -> ApiError:
    """A malformed request, with the position of the error in its body."""
    location = {"line": line, "column": column, "character": character}
    return ApiError(400, _error("ValidationError", message, location=location))


def out_of_range(earliest_ms: int) -> ApiError:
    """An increment that starts before the retained range. The error names the earliest possible start."""
    since = timestamp(earliest_ms)
    return ApiError(400, _error("OutOfRange", f"Records are available since {since} only", since=since))


def snapshot_required(since_ms: int, until_ms: int) -> ApiError:
    """An increment of a table that was reloaded in the meantime."""
    message = "The table has been reloaded: take a snapshot before requesting changes"
    interval = {"since": timestamp(since_ms), "until": timestamp(until_ms)}
    return ApiError(400, _error("SnapshotRequired", message, **interval))


def unauthenticated(message: str) -> ApiError:
    """A missing, invalid or expired token."""
    return ApiError(401, _error("AuthenticationError", message))


def forbidden(kind: str, message: str) -> ApiError:
    """A caller without the permission; `kind` is the type of the error."""
    return ApiError(403, _error(kind, message))


def not_found(kind: str, identifier: str) -> ApiError:
    """An unknown or expired resource; `kind` is for example `table`, `job` or `object`."""
    return ApiError(404, _error("NotFoundError", f"The {kind} was not found", id=identifier, kind=kind))


def rate_limited(retry_after: str) -> ApiError:
    """An exhausted budget. `retry_after` becomes the header of that name: seconds, or a date."""
    return ApiError(429, _error("TooManyRequests", "Rate limit exceeded"), {"Retry-After": retry_after})


def server_error(status: int = 500) -> ApiError:
    """A failure of the service, which gives no reason."""
    return ApiError(status, _error("ProcessingError", ""))


def gateway_timeout() -> ApiError:
    """A timeout of the gateway, whose errors have no type and no UUID."""
    return ApiError(504, {"message": "Endpoint request timed out"})


def job_in_progress(identifier: str, status: str, expires_ms: int) -> Json:
    """A waiting or running job."""
    return {"id": identifier, "status": status, "expires_at": timestamp(expires_ms)}


def job_complete(identifier: str, expires_ms: int, query: DataQuery, *, objects: Sequence[str], version: int) -> Json:
    """A finished job with its result."""
    body = job_in_progress(identifier, "complete", expires_ms)
    body |= {"objects": [{"id": item} for item in objects], "schema_version": version}
    if query.since_ms is None:
        return body | {"at": timestamp(query.until_ms)}
    return body | {"since": timestamp(query.since_ms), "until": timestamp(query.until_ms)}


def job_failed(identifier: str, expires_ms: int) -> Json:
    """A failed job. Repeated requests get the same error."""
    error = {
        "type": "ProcessingError",
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, identifier)),
        "message": "The job could not be processed",
    }
    return job_in_progress(identifier, "failed", expires_ms) | {"error": error}
