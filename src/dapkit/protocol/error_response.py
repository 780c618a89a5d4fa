"""PURE: an error response of the service as one error of our tree.

The HTTP status and the fields of the body decide first, the service's `type` second, because the types are not
documented. If the body has no error object or is not JSON at all (an HTML page of a proxy), the status alone decides.
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
from dapkit.protocol.error_types import error_name
from dapkit.protocol.messages import as_object
from dapkit.protocol.namespaces import nearest_namespace
from dapkit.protocol.redaction import display_url, excerpt


class Endpoint(StrEnum):
    """The kinds of requests that have their own budgets and error messages."""

    LOGIN = "login"
    TABLES = "tables"
    SCHEMA = "schema"
    SUBMIT = "submit"
    POLL = "poll"
    SIGN = "sign"


_REQUESTS: Final = {
    Endpoint.LOGIN: "the login",
    Endpoint.TABLES: "the request for the list of tables",
    Endpoint.SCHEMA: "the request for the schema",
    Endpoint.SUBMIT: "the query",
    Endpoint.POLL: "the request for the job",
    Endpoint.SIGN: "the request for object URLs",
}

# Statuses that proxies, gateways and firewalls send on their own. The service sends some of them as well, but then
# with a JSON body.
_INTERMEDIARY_STATUSES: Final = frozenset({400, 403, 404, 405, 406, 408, 409, 410, 418, 421, 425, 451})
_ACCOUNT_ERRORS: Final[Mapping[str, type[AccountError]]] = {
    "accountdisabled": AccountDisabledError,
    "accountnotonboarded": AccountNotOnboardedError,
    "accountundermaintenance": AccountMaintenanceError,
}
_SNAPSHOT_HINT: Final = (
    "If you have just taken a snapshot of this table, request an increment instead, or wait: the service may deny"
    " snapshots that are repeated too soon."
)


@dataclass(frozen=True, slots=True)
class _Details:
    """The error object of a body. If there is none, `message` shows the beginning of the body."""

    fields: Mapping[str, Any]
    documented: bool
    message: str

    def text(self, name: str) -> str | None:
        value = self.fields.get(name)
        return excerpt(value, 300) if isinstance(value, str) and value else None

    @property
    def name(self) -> str:
        return error_name(self.text("type") or "")


def error_from_response(endpoint: Endpoint, status: int, body: bytes, location: str | None = None) -> DapError:
    """Return the error that a response other than a success means.

    Args:
        endpoint: the kind of request.
        status: the HTTP status, not 2xx.
        body: the response body, of any content.
        location: the `Location` header, if there is one.
    """
    details = _details(body)
    reason = f" (HTTP {status})" + (f": {details.message.rstrip('.')}" if details.message else "")
    uuid = details.text("uuid")
    request = _REQUESTS[endpoint]
    account = _account_error(endpoint, status, details, reason)
    if account is not None:
        return account
    if 300 <= status < 400:
        # The API does not redirect. Following the redirect would send the token to another host.
        target = display_url(location) if location else "nowhere"
        return UnexpectedResponseError(f"The service redirected {request} to {target} (HTTP {status})")
    if status == 401 or (endpoint is Endpoint.LOGIN and status in {400, 403}):
        return RejectedCredentialsError(f"The service does not accept the credentials{reason}", uuid=uuid)
    if status == 404:
        return _not_found(endpoint, details, reason, uuid)
    if status == 407:
        return ProxyError(f"The proxy requires authentication{reason}")
    if status == 429:
        return RateLimitedError(f"The service received {request} too often{reason}", uuid=uuid)
    if status >= 500 or status in {408, 425}:
        return ServerError(f"The service failed to process {request}{reason}", uuid=uuid)
    if 400 <= status < 500 and details.documented:
        return _bad_request(details, reason, uuid)
    return UnexpectedResponseError(f"Unexpected response to {request}{reason}", uuid=uuid)


def is_from_intermediary(status: int, body: bytes) -> bool:
    """Whether an error response probably comes from a proxy or gateway, not from the service.

    Only meaningful once the service has been reached: before, the base URL may simply be wrong.
    """
    return status in _INTERMEDIARY_STATUSES and as_object(body) is None


def intermediary_error(endpoint: Endpoint, status: int, body: bytes) -> UnexpectedResponseError:
    """Return the error for such a response."""
    details = _details(body)
    reason = f": {details.message}" if details.message else ""
    request = _REQUESTS[endpoint]
    return UnexpectedResponseError(f"A proxy or gateway, not the service, answered {request} (HTTP {status}){reason}")


def _details(body: bytes) -> _Details:
    content = as_object(body)
    error = content.get("error") if content is not None else None
    if isinstance(error, dict):
        parts = (error.get("type"), error.get("message"))
        message = " ".join(part for part in parts if isinstance(part, str) and part)
        return _Details(error, documented=True, message=excerpt(message, 300))
    if content is not None and isinstance(error, str):  # the form of OAuth
        description = content.get("error_description")
        message = f"{error} {description}" if isinstance(description, str) else error
        return _Details({}, documented=False, message=excerpt(message, 300))
    return _Details({}, documented=False, message=f"the body is {excerpt(body)!r}" if body.strip() else "")


def _account_error(endpoint: Endpoint, status: int, details: _Details, reason: str) -> AccountError | None:
    """Return the error of an account that may not do this. The service sends 403; its documentation says 500."""
    if status not in {400, 401, 403, 500}:
        return None
    uuid, request = details.text("uuid"), _REQUESTS[endpoint]
    error_class = _ACCOUNT_ERRORS.get(details.name)
    if error_class is not None:
        return error_class(f"The service rejected {request}{reason}", uuid=uuid)
    # A forbidden login means wrong credentials, not a missing permission.
    if endpoint is Endpoint.LOGIN or (status != 403 and details.name != "requesttypeforbidden"):
        return None
    hint = _scope_hint(details) or (_SNAPSHOT_HINT if endpoint is Endpoint.SUBMIT and details.documented else "")
    return ForbiddenError(f"The service does not permit {request}{reason}", uuid=uuid, hint=hint)


def _not_found(endpoint: Endpoint, details: _Details, reason: str, uuid: str | None) -> DapError:
    if not details.documented:
        return UnexpectedResponseError(f"No service was found at this address{reason}", uuid=uuid)
    kind = (details.text("kind") or "").lower()
    id_ = details.text("id")
    name = f" {id_!r}" if id_ else ""
    if endpoint is Endpoint.POLL or "job" in kind:
        return ExpiredError(f"The service no longer has the job{reason}", uuid=uuid)
    if endpoint is Endpoint.SIGN or "object" in kind:
        return ExpiredError(f"The service no longer has the object{reason}", uuid=uuid)
    if "scope" in kind or "account" in kind:
        hint = "Check --scope: it is the UUID of a root account, or the id of a district."
        return NotFoundError(f"The service has no scope{name}{reason}", uuid=uuid, hint=hint)
    if "namespace" in kind or endpoint is Endpoint.TABLES:
        hint = nearest_namespace(id_) if id_ else ""
        return NotFoundError(f"The service has no namespace{name}{reason}", uuid=uuid, hint=hint)
    if endpoint in {Endpoint.SCHEMA, Endpoint.SUBMIT}:
        return TableNotFoundError(f"The service has no table{name}{reason}", uuid=uuid)
    return NotFoundError(f"The service did not find{name or ' what was requested'}{reason}", uuid=uuid)


def _bad_request(details: _Details, reason: str, uuid: str | None) -> DapError:
    since = details.text("since")
    earliest = f"; changes are available from {since}" if since and since not in reason else ""
    if details.name == "snapshotrequired":
        hint = f"{SnapshotRequiredError.default_hint} Increments are possible from {since}." if since else ""
        message = f"The table was reloaded, so earlier changes are no longer available{reason}{earliest}"
        return SnapshotRequiredError(message, uuid=uuid, hint=hint)
    if since or details.name == "outofrange":
        hint = f"Start at {since} or later, or take a new snapshot." if since else "Take a new snapshot."
        message = f"The service no longer keeps the requested time range{reason}{earliest}"
        return OutOfRangeError(message, uuid=uuid, hint=hint)
    position = details.fields.get("location")
    where = ""
    if isinstance(position, dict):
        where = f" at line {position.get('line')}, column {position.get('column')} of the request"
    return RequestError(f"The service rejected the request{reason}{where}", uuid=uuid, hint=_scope_hint(details))


def _scope_hint(details: _Details) -> str:
    return "Specify the scope (for example a root account) with --scope." if "scope" in details.message.lower() else ""
