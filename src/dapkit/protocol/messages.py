"""What goes over the wire as values: bodies of requests encoded, bodies of answers decoded.

Decoding is lenient where a newer service may say more (unknown fields are ignored) and strict where a wrong
belief would make a wrong file (absent fields, wrong types, unknown job states): then an UnexpectedResponseError
names what came. What a refusal says is in `refusal.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from dapkit.errors import UnexpectedResponseError, UsageError
from dapkit.model import Failure, Job, JobStatus, Query, VersionedSchema, instant
from dapkit.protocol.redaction import excerpt, place

JSON_MEDIA_TYPE: Final = "application/json"
FORM_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
LOGIN_BODY: Final = b"grant_type=client_credentials"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TokenResponse:
    """What the login gave: a bearer token, and for how many seconds, if it said so."""

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


def segment(name: str) -> str:
    """Return a namespace, table or job id as one segment of a URL's path.

    Raises:
        UsageError: a name that no path can carry.
    """
    if name in {"", ".", ".."}:
        raise UsageError(f"{name!r} is not a name that the service could know.")
    return quote(name, safe="")


def encode_query(query: Query) -> bytes:
    """Return the body that asks for a snapshot or an increment; what is not set is left out."""
    fields = {"format": query.format.value}
    if query.mode is not None:
        fields["mode"] = query.mode.value
    if query.since is not None:
        fields["since"] = query.since
    if query.until is not None:
        fields["until"] = query.until
    return msgspec.json.encode(fields)


def encode_object_ids(ids: Iterable[str]) -> bytes:
    """Return the body that asks for the URLs of objects."""
    return msgspec.json.encode([{"id": name} for name in ids])


def decode_token_response(body: bytes) -> TokenResponse:
    """Read the answer to a login; its text is never repeated in an error."""
    answer = _decode(body, _Login, "the login", shown=False)
    token = answer.access_token.strip()
    if not token or any(not "!" <= character <= "~" for character in token):
        raise UnexpectedResponseError("The answer to the login holds no token that could be sent.")
    try:
        life = None if answer.expires_in is None else float(answer.expires_in)
    except ValueError:
        life = None
    return TokenResponse(access_token=token, expires_in=life)


def decode_tables(body: bytes) -> tuple[str, ...]:
    """Read the list of tables, in the service's order, each once."""
    return tuple(dict.fromkeys(_decode(body, _Tables, "the list of tables").tables))


def decode_schema(body: bytes, namespace: str, table: str) -> VersionedSchema:
    """Read a table's schema."""
    answer = _decode(body, _Schema, f"the schema of {table}")
    return VersionedSchema(namespace=namespace, table=table, version=answer.version, document=answer.schema)


def decode_job(body: bytes) -> Job:
    """Read a job in any state, each of its objects once.

    Raises:
        UnexpectedResponseError: an unknown state, or a complete job without what a complete job must say.
    """
    answer = _decode(body, _Job, "the job")
    try:
        status = JobStatus(answer.status)
    except ValueError:
        raise UnexpectedResponseError(
            f"The job is in a state that is not known: {excerpt(answer.status, 40)!r}."
        ) from None
    if not answer.id:
        raise UnexpectedResponseError("The service named a job without an id.")
    if status is JobStatus.COMPLETE:
        _require_complete(answer)
    failure = None
    if status is JobStatus.FAILED:
        error = answer.error or _Error()
        failure = Failure(type=error.type or "", uuid=error.uuid, message=excerpt(error.message or "", 500))
    return Job(
        id=answer.id,
        status=status,
        expires_at=None if answer.expires_at is None else _epoch(answer.expires_at),
        objects=tuple(dict.fromkeys(item.id for item in answer.objects or ())),
        schema_version=answer.schema_version,
        at=answer.at,
        since=answer.since,
        until=answer.until,
        failure=failure,
    )


def decode_urls(body: bytes, ids: Iterable[str]) -> dict[str, str]:
    """Read the URLs of the objects that were asked for.

    Raises:
        UnexpectedResponseError: one is missing, or is not an address for HTTP.
    """
    urls = _decode(body, _Urls, "the request for object URLs").urls
    found = {}
    for name in ids:
        if name not in urls:
            raise UnexpectedResponseError(f"The service gave no URL for the object {excerpt(name, 100)!r}.")
        found[name] = _http_url(urls[name].url)
    return found


def _require_complete(job: _Job) -> None:
    absent = [name for name in ("objects", "schema_version") if getattr(job, name) is None]
    if job.at is None and (job.since is None or job.until is None):
        absent.append("at (or since and until)")
    if absent:
        raise UnexpectedResponseError(f"The job is complete, but does not say {', '.join(absent)}.")
    for mark in (job.at, job.since, job.until):
        if mark is not None:
            _epoch(mark)  # kept as it is written, but the next increment must be able to start there


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable() and " " not in url
        valid = valid and parts.username is None and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UnexpectedResponseError(f"The service gave an object URL that is none: {place(url)!r}.")
    return url


def _epoch(text: str) -> float:
    """Return an ISO 8601 time as seconds since the epoch. Raises UnexpectedResponseError when it is none."""
    try:
        return instant(text)
    except ValueError:
        raise UnexpectedResponseError(f"The service gave a time that is none: {excerpt(text, 40)!r}.") from None


def _decode(body: bytes, kind: type[_T], what: str, *, shown: bool = True) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        seen = f"is not as promised: {excerpt(str(error), 160)}"
    except (msgspec.DecodeError, RecursionError):
        seen = "is not JSON" if body else "is empty"
    came = f" It began: {excerpt(body)!r}" if shown and body else ""
    raise UnexpectedResponseError(f"The answer to {what} {seen}.{came}")


def garbled(body: bytes) -> bool:
    """Whether a body is no message at all, as opposed to one that does not say what it should."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return True
    return False


def as_object(body: bytes) -> Mapping[str, Any] | None:
    """Return a body as a JSON object, or None when it is anything else."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
