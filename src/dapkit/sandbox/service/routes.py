"""The API over HTTP: a handler for each endpoint, and the checks that each request passes first."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dapkit.sandbox.faults import ENDPOINTS, InjectedFault
from dapkit.sandbox.service.backend import parse_json
from dapkit.sandbox.service.fault_responses import (
    OTHER_HOST,
    ClosedConnection,
    close_connection,
    corrupt_response,
    fault_response,
)
from dapkit.sandbox.service.responses import (
    ApiError,
    Json,
    forbidden,
    invalid_request,
    not_found,
    rate_limited,
    server_error,
    with_qualified_type,
)
from dapkit.sandbox.service.signing import file_name, unsafe_name
from dapkit.sandbox.service.state import SandboxState

_LOGGER = logging.getLogger(__name__)

EndpointHandler = Callable[[SandboxState, web.Request, InjectedFault | None], Awaitable[tuple[int, Json]]]


async def _login(state: SandboxState, request: web.Request, _: InjectedFault | None) -> tuple[int, Json]:
    form = await request.post()
    return 200, state.tokens.issue(request.headers.get("Authorization"), form)


async def _list(state: SandboxState, request: web.Request, _: InjectedFault | None) -> tuple[int, Json]:
    return 200, state.backend.tables(request.match_info["namespace"])


async def _schema(state: SandboxState, request: web.Request, _: InjectedFault | None) -> tuple[int, Json]:
    return 200, state.backend.schema(request.match_info["namespace"], request.match_info["table"])


async def _data(state: SandboxState, request: web.Request, fault: InjectedFault | None) -> tuple[int, Json]:
    body = await request.read()
    return state.backend.submit(request.match_info["namespace"], request.match_info["table"], body, fault)


async def _job(state: SandboxState, request: web.Request, fault: InjectedFault | None) -> tuple[int, Json]:
    identifier = request.match_info["id"]
    if fault is not None and fault.kind == "expired-job":
        state.backend.delete_job(identifier)
    return state.backend.job(identifier)


async def _url(state: SandboxState, request: web.Request, fault: InjectedFault | None) -> tuple[int, Json]:
    wanted = _parse_object_ids(await request.read())
    # Build URLs from the host that the caller used: it may differ from ours behind a proxy or a forwarded port.
    origin = f"{request.scheme}://{request.host}"
    return 200, {"urls": {item: {"url": origin + _signed_path(state, item, fault)} for item in wanted}}


def _parse_object_ids(body: bytes) -> list[str]:
    items = parse_json(body)
    if not isinstance(items, list):
        raise invalid_request("A list of objects is expected")
    for item in items:
        if not isinstance(item, dict) or set(item) != {"id"} or not isinstance(item["id"], str):
            raise invalid_request("Each item must be an object with an `id` and nothing else")
    return [item["id"] for item in items]


def _signed_path(state: SandboxState, identifier: str, fault: InjectedFault | None) -> str:
    item = state.backend.live_object(identifier)
    name = file_name(item)
    signed_ms, seconds = state.real_clock.now_ms(), state.options.url_seconds
    match fault.kind if fault else None:
        case "expired-url":
            signed_ms -= 2 * seconds * 1000
        case "same-name":
            name = f"part.{name.partition('.')[2]}"
        case "unsafe-name" if fault:
            name = unsafe_name(fault.fraction)
    return state.signer.path(identifier, name, signed_ms=signed_ms, seconds=seconds)


_ROUTES: tuple[tuple[str, str, str, EndpointHandler], ...] = (
    ("login", "POST", "/ids/auth/login", _login),
    ("list", "GET", "/dap/query/{namespace}/table", _list),
    ("schema", "GET", "/dap/query/{namespace}/table/{table}/schema", _schema),
    ("data", "POST", "/dap/query/{namespace}/table/{table}/data", _data),
    ("job", "GET", "/dap/job/{id}", _job),
    ("url", "POST", "/dap/object/url", _url),
)


class Endpoint:
    """One endpoint of the API: its handler, surrounded by checks, faults and errors."""

    def __init__(self, state: SandboxState, name: str, handler: EndpointHandler) -> None:
        self._state = state
        self._name = name
        self._handler = handler

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond to one request."""
        fault = self._state.decide_fault(self._name, await self._find_table(request))
        try:
            # Faults come before all checks, so that a fault hits an expired token or an exhausted budget as well.
            if (response := await fault_response(self._state, request, fault)) is not None:
                return response
            if self._name != "login":
                self._check_access(request)
            status, body = await self._handler(self._state, request, fault)
        except ApiError as error:
            return self._json(error.body, error.status, error.headers)
        if fault is not None and fault.kind == "lost-response":
            return close_connection(request)
        return self._json(corrupt_response(body, fault), status)

    def _json(self, body: Json, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
        sent = with_qualified_type(body) if self._state.options.qualified_errors else body
        return web.json_response(sent, status=status, headers=headers)

    def _check_access(self, request: web.Request) -> None:
        """Check user agent, token, budget and scope, in this order. Raises ApiError."""
        state, headers = self._state, request.headers
        if not headers.get("User-Agent"):
            raise forbidden("RequestTypeForbidden", "A User-Agent header is required")
        client = state.tokens.verify(headers.get("Authorization"), headers.get("x-instauth"))
        if state.budgets is not None:
            wait_ms = state.budgets.admit(client, self._name, state.real_clock.now_ms())
            if wait_ms is not None:
                # Rounded up: a client that waits for the given seconds must not be too early.
                raise rate_limited(str(-(-wait_ms // 1000)))
        if self._name in ("list", "schema", "data"):
            self._check_scope(request.query.get("scope"))

    def _check_scope(self, scope: str | None) -> None:
        scopes = self._state.options.scopes
        if scope is None:
            if len(scopes) > 1:
                raise invalid_request("Several scopes are available: name one")
        elif scope not in scopes:
            raise not_found("scope", scope)

    async def _find_table(self, request: web.Request) -> str | None:
        """Return the table that a request is about, or None if it is about no table or an unknown one."""
        backend = self._state.backend
        if "table" in request.match_info:
            return request.match_info["table"]
        try:
            if self._name == "job":
                return backend.live_job(request.match_info["id"]).query.table
            if self._name == "url":
                return backend.live_object(_parse_object_ids(await request.read())[0]).job.query.table
        except (ApiError, IndexError):
            return None
        return None


async def _other_host(request: web.Request) -> web.StreamResponse:
    """Respond to a client that follows a redirect of an API call. It should not, least of all with credentials."""
    return web.json_response({"tables": []}, headers={"X-Path": request.path})


def add_api(app: web.Application, state: SandboxState) -> None:
    """Register the routes of the API, and the one that a redirect leads to."""
    for name, method, path, handler in _ROUTES:
        app.router.add_route(method, path, Endpoint(state, name, handler).respond, name=name)
    app.router.add_route("*", OTHER_HOST + "/{rest:.*}", _other_host, name="elsewhere")


def count_responses(state: SandboxState) -> Middleware:
    """Return the middleware that counts responses, and gives unknown paths and crashes a JSON body."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = request.match_info.route.name or "unknown"
        traffic, status = state.traffic, 0
        if name == "elsewhere" and {"Authorization", "x-instauth"} & set(request.headers):
            traffic.credential_leaks.append("credentials sent to another host")
        try:
            response = await handler(request)
            status = 0 if isinstance(response, ClosedConnection) else response.status
        except web.HTTPException as error:
            missing = not_found("resource", request.path)
            status = error.status
            response = web.json_response(missing.body, status=status, headers=missing.headers)
        except ConnectionError:
            raise
        except Exception:
            _LOGGER.exception("the sandbox failed on a request")
            status = 500
            response = web.json_response(server_error().body, status=status)
        finally:
            # In `finally`, because a client that disconnects cancels the handler: it is counted with status 0.
            if name in ENDPOINTS or name == "elsewhere":
                traffic.responses[name, status] += 1
        return response

    return count


def set_date(state: SandboxState) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the hook that sets the Date header from the real clock, which tests may skip ahead."""

    async def hook(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(state.real_clock.now_ms() / 1000, usegmt=True)

    return hook
