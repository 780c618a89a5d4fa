"""PURE: the bodies of requests encoded, the bodies of successful responses decoded.

Decoding is lenient where a newer version of the service may send more (unknown fields are ignored) and strict where a
wrong assumption would produce a wrong file (missing fields, wrong types, unknown job states): then it raises an
UnexpectedResponseError that shows what was received. `error_response` decodes error responses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from dapkit.errors import UnexpectedResponseError, UsageError
from dapkit.model import Failure, Job, JobStatus, Query, VersionedSchema, epoch_seconds
from dapkit.protocol.redaction import display_url, excerpt
from dapkit.protocol.secrets import Address

JSON_MEDIA_TYPE: Final = "application/json"
FORM_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
LOGIN_BODY: Final = b"grant_type=client_credentials"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TokenResponse:
    """A bearer token, and its lifetime in seconds if the service states it."""

    access_token: str
    expires_in: float | None


class _Login(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


class _Tables(msgspec.Struct):
    tables: list[str]


class _Schema(msgspec.Struct):
    schema: dict[str, Any]
    version: int


class _Object(msgspec.Struct):
    id: str


class _Error(msgspec.Struct):
    type: str | None = None
    uuid: str | None = None
    message: str | None = None


class _Job(msgspec.Struct):
    id: str
    status: str
    expires_at: str | None = None
    objects: list[_Object] | None = None
    schema_version: int | None = None
    at: str | None = None
    since: str | None = None
    until: str | None = None
    error: _Error | None = None


class _Resource(msgspec.Struct):
    url: str


class _Urls(msgspec.Struct):
    urls: dict[str, _Resource]


def path_segment(name: str) -> str:
    """Encode a namespace, table or job id as one segment of a URL's path.

    Raises:
        UsageError: the name would change the path.
    """
    if name in {"", ".", ".."}:
        raise UsageError(f"Invalid name {name!r}")
    return quote(name, safe="")


def encode_query(query: Query) -> bytes:
    """Return the body that requests a snapshot or an increment; fields that are not set are omitted."""
    fields = {"format": query.format.value}
    if query.mode is not None:
        fields["mode"] = query.mode.value
    if query.since is not None:
        fields["since"] = query.since
    if query.until is not None:
        fields["until"] = query.until
    return msgspec.json.encode(fields)


def encode_object_ids(ids: Iterable[str]) -> bytes:
    """Return the body that requests the URLs of objects."""
    return msgspec.json.encode([{"id": name} for name in ids])


def decode_token_response(body: bytes) -> TokenResponse:
    """Decode the response to a login. Errors never quote it: it may contain a token."""
    response = _decode(body, _Login, "the login", quote_body=False)
    token = response.access_token.strip()
    if not token or any(not "!" <= character <= "~" for character in token):
        raise UnexpectedResponseError("The response to the login has no valid token")
    try:
        expires_in = None if response.expires_in is None else float(response.expires_in)
    except ValueError:
        expires_in = None
    return TokenResponse(access_token=token, expires_in=expires_in)


def decode_tables(body: bytes) -> tuple[str, ...]:
    """Decode the list of tables: in the service's order, without duplicates."""
    return tuple(dict.fromkeys(_decode(body, _Tables, "the request for the list of tables").tables))


def decode_schema(body: bytes, namespace: str, table: str) -> VersionedSchema:
    """Decode a table's schema."""
    response = _decode(body, _Schema, f"the request for the schema of {table}")
    return VersionedSchema(namespace=namespace, table=table, version=response.version, document=response.schema)


def decode_job(body: bytes) -> Job:
    """Decode a job in any state; its objects are without duplicates.

    Raises:
        UnexpectedResponseError: the state is unknown, or a complete job lacks a required field.
    """
    response = _decode(body, _Job, "the request for the job")
    try:
        status = JobStatus(response.status)
    except ValueError:
        raise UnexpectedResponseError(f"Unknown job status: {excerpt(response.status, 40)!r}") from None
    if not response.id:
        raise UnexpectedResponseError("The service sent a job without an id")
    if status is JobStatus.COMPLETE:
        _require_complete(response)
    failure = None
    if status is JobStatus.FAILED:
        error = response.error or _Error()
        failure = Failure(type=error.type or "", uuid=error.uuid, message=excerpt(error.message or "", 500))
    return Job(
        id=response.id,
        status=status,
        expires_at=None if response.expires_at is None else _epoch(response.expires_at),
        objects=tuple(dict.fromkeys(item.id for item in response.objects or ())),
        schema_version=response.schema_version,
        at_text=response.at,
        since_text=response.since,
        until_text=response.until,
        failure=failure,
    )


def decode_urls(body: bytes, ids: Iterable[str]) -> dict[str, str]:
    """Decode the URLs of the requested objects.

    Raises:
        UnexpectedResponseError: one is missing or is not an HTTP URL.
    """
    urls = _decode(body, _Urls, "the request for object URLs").urls
    decoded: dict[str, str] = {}
    for name in ids:
        if name not in urls:
            raise UnexpectedResponseError(f"The service sent no URL for object {excerpt(name, 100)!r}")
        decoded[name] = Address(_http_url(urls[name].url))
    return decoded


def _require_complete(job: _Job) -> None:
    missing = [name for name in ("objects", "schema_version") if getattr(job, name) is None]
    if job.at is None and (job.since is None or job.until is None):
        missing.append("at (or since and until)")
    if missing:
        raise UnexpectedResponseError(f"The service sent a complete job without {', '.join(missing)}")
    for watermark in (job.at, job.since, job.until):
        if watermark is not None:
            _epoch(watermark)  # kept verbatim, but checked now: the next increment must be able to start there


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable() and " " not in url
        valid = valid and parts.username is None and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UnexpectedResponseError(f"The service sent an invalid object URL: {display_url(url)!r}")
    return url


def _epoch(text: str) -> float:
    """Return an ISO 8601 time as seconds since the epoch. Raises UnexpectedResponseError if it is invalid."""
    try:
        return epoch_seconds(text)
    except ValueError:
        raise UnexpectedResponseError(f"The service sent an invalid timestamp: {excerpt(text, 40)!r}") from None


def _decode(body: bytes, kind: type[_T], request: str, *, quote_body: bool = True) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        problem = f"is invalid: {excerpt(str(error), 160)}"
    except (msgspec.DecodeError, RecursionError):
        problem = "is not JSON" if body else "is empty"
    received = f"; it begins with {excerpt(body)!r}" if quote_body and body else ""
    raise UnexpectedResponseError(f"The response to {request} {problem}{received}")


def is_json(body: bytes) -> bool:
    """Whether a body is JSON, with any content."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def as_object(body: bytes) -> Mapping[str, Any] | None:
    """Return a body as a JSON object, or None if it is anything else."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
