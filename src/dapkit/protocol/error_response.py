"""What a refusal means: an answer's status and body as one error of our tree.

The status and the fields decide first and the service's `type` second, because the types are not documented.
An answer without an error object, or that is not JSON at all (a proxy's page), is told by its status alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dapkit.errors import (
    AccountDisabledError,
    AccountError,
    AccountMaintenanceError,
    AccountNotOnboardedError,
    DapError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    OutOfRangeError,
    ProxyError,
    RateLimitedError,
    RejectedCredentialsError,
    RequestError,
    ServerError,
    SnapshotRequiredError,
    TableNotFoundError,
    UnexpectedResponseError,
)
from dapkit.protocol.messages import as_object
from dapkit.protocol.redaction import excerpt, place


class Endpoint(StrEnum):
    """A call of the service, as far as budgets and refusals tell calls apart."""

    LOGIN = "login"
    TABLES = "tables"
    SCHEMA = "schema"
    SUBMIT = "submit"
    POLL = "poll"
    SIGN = "sign"


_PURPOSES: Final = {
    Endpoint.LOGIN: "the login",
    Endpoint.TABLES: "the list of tables",
    Endpoint.SCHEMA: "the schema",
    Endpoint.SUBMIT: "the query",
    Endpoint.POLL: "the job",
    Endpoint.SIGN: "the object URLs",
}

_SAID_BY_OTHERS: Final = frozenset({400, 403, 404, 405, 406, 408, 409, 410, 418, 421, 425, 451})
_ACCOUNT_TYPES: Final[tuple[tuple[str, type[AccountError]], ...]] = (
    ("disabled", AccountDisabledError),
    ("notonboarded", AccountNotOnboardedError),
    ("undermaintenance", AccountMaintenanceError),
    ("forbidden", ForbiddenError),
)


@dataclass(frozen=True, slots=True)
class _Details:
    """The error object of a body, or what can be said in its place."""

    fields: Mapping[str, Any]
    documented: bool
    message: str

    def text(self, name: str) -> str | None:
        value = self.fields.get(name)
        return excerpt(value, 300) if isinstance(value, str) and value else None

    @property
    def type(self) -> str:
        return (self.text("type") or "").replace("_", "").replace(" ", "").lower()


def error_of(endpoint: Endpoint, status: int, body: bytes, location: str | None = None) -> DapError:
    """Return the error that an answer other than success means.

    Args:
        endpoint: what was asked.
        status: the answer's HTTP status, not 2xx.
        body: the answer's body, whatever it is.
        location: the `Location` header, if one came.
    """
    details = _details(body)
    said = f" (HTTP {status}): {details.message}" if details.message else f" (HTTP {status})."
    uuid = details.text("uuid")
    command = _PURPOSES[endpoint]
    account = _account_error(endpoint, status, details)
    if account is not None:
        return account(f"The service refuses {command}{said}", uuid=uuid)
    if 300 <= status < 400:
        target = place(location) if location else "nowhere"
        return UnexpectedResponseError(
            f"The service sent {command} on to {target} (HTTP {status}); calls of the API never follow."
        )
    if status == 401 or (endpoint is Endpoint.LOGIN and status in {400, 403}):
        return RejectedCredentialsError(f"The service does not accept the credentials{said}", uuid=uuid)
    if status == 403:
        return ForbiddenError(f"The service forbids {command}{said}", uuid=uuid, hint=_scope_hint(details))
    if status == 404:
        return _not_found(endpoint, details, said, uuid)
    if status == 407:
        return ProxyError(f"The proxy wants to know who asks{said}")
    if status == 429:
        return RateLimitedError(f"The service says that {command} was asked for too often{said}", uuid=uuid)
    if status >= 500 or status in {408, 425}:
        return ServerError(f"The service failed at {command}{said}", uuid=uuid)
    if 400 <= status < 500 and details.documented:
        return _bad_request(details, said, uuid)
    return UnexpectedResponseError(f"The service answered {command} in a way that is not known{said}", uuid=uuid)


def is_foreign(status: int, body: bytes) -> bool:
    """Whether a refusal looks as if something in between spoke in the name of a service that was heard before."""
    return status in _SAID_BY_OTHERS and as_object(body) is None


def foreign_error(endpoint: Endpoint, status: int, body: bytes) -> UnexpectedResponseError:
    """Return what such a refusal means."""
    details = _details(body)
    said = f": {details.message}" if details.message else ""
    return UnexpectedResponseError(
        f"Something else than the service answered {_PURPOSES[endpoint]} (HTTP {status}){said}"
    )


def _details(body: bytes) -> _Details:
    content = as_object(body)
    error = content.get("error") if content is not None else None
    if isinstance(error, dict):
        message = error.get("message")
        kind = error.get("type")
        shown = " ".join(str(part) for part in (kind, message) if isinstance(part, str) and part)
        return _Details(error, documented=True, message=excerpt(shown, 300))
    if content is not None and isinstance(error, str):
        description = content.get("error_description")
        shown = f"{error} {description}" if isinstance(description, str) else error
        return _Details({}, documented=False, message=excerpt(shown, 300))
    return _Details({}, documented=False, message=f"it said {excerpt(body)!r}" if body.strip() else "")


def _account_error(endpoint: Endpoint, status: int, details: _Details) -> type[AccountError] | None:
    """Return what the type says of the account: with 403 as seen, with 500 as documented."""
    if status not in {400, 401, 403, 500}:
        return None
    for mark, kind in _ACCOUNT_TYPES:
        if mark in details.type and (kind is not ForbiddenError or endpoint is not Endpoint.LOGIN):
            return kind
    return None


def _not_found(endpoint: Endpoint, details: _Details, said: str, uuid: str | None) -> DapError:
    if not details.documented:
        return UnexpectedResponseError(f"There is no service at this address{said}", uuid=uuid)
    kind = (details.text("kind") or "").lower()
    name = details.text("id")
    if endpoint is Endpoint.POLL or "job" in kind:
        return ExpiredError(f"The service knows no such job any more{said}", uuid=uuid)
    if endpoint is Endpoint.SIGN or "object" in kind:
        return ExpiredError(f"The service knows no such object any more{said}", uuid=uuid)
    what = f" {name!r}" if name else ""
    if "namespace" in kind or endpoint is Endpoint.TABLES:
        return NotFoundError(f"The service knows no namespace{what}{said}", uuid=uuid)
    if endpoint in {Endpoint.SCHEMA, Endpoint.SUBMIT}:
        return TableNotFoundError(f"The service knows no table{what}{said}", uuid=uuid)
    return NotFoundError(f"The service does not know{what or ' it'}{said}", uuid=uuid)


def _bad_request(details: _Details, said: str, uuid: str | None) -> DapError:
    since = details.text("since")
    earliest = f" Changes are kept since {since}." if since else ""
    if "snapshot" in details.type:
        hint = f"{SnapshotRequiredError.default_hint} Increments are possible from {since}." if since else ""
        return SnapshotRequiredError(
            f"The table was reloaded: changes from before are void{said}{earliest}", uuid=uuid, hint=hint
        )
    if since or "range" in details.type:
        hint = f"Ask from {since} on, or take a new snapshot." if since else "Take a new snapshot."
        return OutOfRangeError(f"The service does not keep the range asked for{said}{earliest}", uuid=uuid, hint=hint)
    place_in_body = details.fields.get("location")
    where = ""
    if isinstance(place_in_body, dict):
        where = f" At line {place_in_body.get('line')}, column {place_in_body.get('column')} of the request."
    return RequestError(f"The service refuses the request{said}{where}", uuid=uuid, hint=_scope_hint(details))


def _scope_hint(details: _Details) -> str:
    return "Name the scope (for example a root account) with --scope." if "scope" in details.message.lower() else ""
