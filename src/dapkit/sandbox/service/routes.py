"""The API over HTTP: which address leads to which rule, and what every call is checked for first."""

import logging
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dapkit.sandbox.faults.fault_responses import ELSEWHERE, NoAnswer, dropped, instead, refusal, spoilt
from dapkit.sandbox.faults.rules import ENDPOINTS, Occurrence
from dapkit.sandbox.service.backend import read_json
from dapkit.sandbox.service.responses import Json, RefusedError, broken, forbidden, invalid, not_found, too_many
from dapkit.sandbox.service.signing import file_name, hostile_name
from dapkit.sandbox.service.state import Service

_LOGGER = logging.getLogger(__name__)

Rule = Callable[[Service, web.Request, Occurrence | None], Awaitable[tuple[int, Json]]]


async def _login(service: Service, request: web.Request, _: Occurrence | None) -> tuple[int, Json]:
    form = await request.post()
    return 200, service.login.token(request.headers.get("Authorization"), form)


async def _list(service: Service, request: web.Request, _: Occurrence | None) -> tuple[int, Json]:
    return 200, service.backend.tables(request.match_info["namespace"])


async def _schema(service: Service, request: web.Request, _: Occurrence | None) -> tuple[int, Json]:
    return 200, service.backend.schema(request.match_info["namespace"], request.match_info["table"])


async def _data(service: Service, request: web.Request, occurrence: Occurrence | None) -> tuple[int, Json]:
    body = await request.read()
    place = request.match_info
    return service.backend.submit(place["namespace"], place["table"], body, occurrence)


async def _job(service: Service, request: web.Request, occurrence: Occurrence | None) -> tuple[int, Json]:
    identifier = request.match_info["id"]
    if occurrence is not None and occurrence.kind == "expired-job":
        service.backend.forget(identifier)
    return service.backend.job(identifier)


async def _url(service: Service, request: web.Request, occurrence: Occurrence | None) -> tuple[int, Json]:
    wanted = _wanted(await request.read())
    # The store is where its caller found us: behind a proxy or a forwarded port we know no better name.
    origin = f"{request.scheme}://{request.host}"
    return 200, {"urls": {item: {"url": origin + _signed_path(service, item, occurrence)} for item in wanted}}


def _wanted(body: bytes) -> list[str]:
    """Return the identifiers of the objects that a request for URLs names."""
    items = read_json(body)
    if not isinstance(items, list):
        raise invalid("A list of objects is expected.")
    for item in items:
        if not isinstance(item, dict) or set(item) != {"id"} or not isinstance(item["id"], str):
            raise invalid("Each object is named by its id alone.")
    return [item["id"] for item in items]


def _signed_path(service: Service, identifier: str, occurrence: Occurrence | None) -> str:
    item = service.backend.live_object(identifier)
    name = file_name(item)
    signed_ms, seconds = service.real.now_ms(), service.options.url_seconds
    match occurrence.kind if occurrence else None:
        case "expired-url":
            signed_ms -= 2 * seconds * 1000
        case "same-name":
            name = f"part.{name.partition('.')[2]}"
        case "evil-name" if occurrence:
            name = hostile_name(occurrence.fraction)
    return service.signer.path(identifier, name, signed_ms=signed_ms, seconds=seconds)


_RULES: tuple[tuple[str, str, str, Rule], ...] = (
    ("login", "POST", "/ids/auth/login", _login),
    ("list", "GET", "/dap/query/{namespace}/table", _list),
    ("schema", "GET", "/dap/query/{namespace}/table/{table}/schema", _schema),
    ("data", "POST", "/dap/query/{namespace}/table/{table}/data", _data),
    ("job", "GET", "/dap/job/{id}", _job),
    ("url", "POST", "/dap/object/url", _url),
)


class Endpoint:
    """One address of the API: checks, faults and errors around its rule."""

    def __init__(self, service: Service, name: str, rule: Rule) -> None:
        self._service = service
        self._name = name
        self._rule = rule

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        occurrence = self._service.decide(self._name, await self._table(request))
        try:
            if (error := refusal(self._service, occurrence)) is not None:
                raise error
            if (response := await instead(self._service, request, occurrence)) is not None:
                return response
            if self._name != "login":
                self._admit(request)
            status, answer = await self._rule(self._service, request, occurrence)
        except RefusedError as error:
            return web.json_response(error.body, status=error.status, headers=error.headers)
        if occurrence is not None and occurrence.kind == "lost":
            return dropped(request)
        return web.json_response(spoilt(answer, occurrence), status=status)

    def _admit(self, request: web.Request) -> None:
        """Let in who names its program, holds a token, keeps within its budget and its scopes."""
        service, headers = self._service, request.headers
        if not headers.get("User-Agent"):
            raise forbidden("RequestTypeForbidden", "A User-Agent header is required.")
        client = service.login.client_of(headers.get("Authorization"), headers.get("x-instauth"))
        if service.budgets is not None:
            wait_ms = service.budgets.admit(client, self._name, service.real.now_ms())
            if wait_ms is not None:
                raise too_many(str(-(-wait_ms // 1000)))
        if self._name in ("list", "schema", "data"):
            self._check_scope(request.query.get("scope"))

    def _check_scope(self, scope: str | None) -> None:
        scopes = self._service.options.scopes
        if scope is None:
            if len(scopes) > 1:
                raise invalid("Several scopes are available: name one.")
        elif scope not in scopes:
            raise not_found("scope", scope)

    async def _table(self, request: web.Request) -> str | None:
        """Return the table that a request concerns, as far as it can be told."""
        backend = self._service.backend
        if "table" in request.match_info:
            return request.match_info["table"]
        try:
            if self._name == "job":
                return backend.live_job(request.match_info["id"]).table
            if self._name == "url":
                return backend.live_object(_wanted(await request.read())[0]).job.table
        except (RefusedError, IndexError):
            return None
        return None


async def _elsewhere(request: web.Request) -> web.StreamResponse:
    """Where a redirected API call leads: nobody should come here, least of all with credentials."""
    return web.json_response({"tables": []}, headers={"X-Path": request.path})


def add_api(app: web.Application, service: Service) -> None:
    """Register the API's routes, and the place that a redirect leads to."""
    for name, method, path, rule in _RULES:
        app.router.add_route(method, path, Endpoint(service, name, rule).answer, name=name)
    app.router.add_route("*", ELSEWHERE + "/{rest:.*}", _elsewhere, name="elsewhere")


def counting(service: Service) -> Middleware:
    """Return the middleware that counts answers and words the errors of unknown addresses."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = request.match_info.route.name or "unknown"
        traffic, status = service.traffic, 0
        if name == "elsewhere" and {"Authorization", "x-instauth"} & set(request.headers):
            traffic.leaks.append("credentials sent to another host")
        try:
            response = await handler(request)
            status = 0 if isinstance(response, NoAnswer) else response.status
        except web.HTTPException as error:
            refused = not_found("resource", request.path)
            status = error.status
            response = web.json_response(refused.body, status=status, headers=refused.headers)
        except ConnectionError:
            raise
        except Exception:
            _LOGGER.exception("the sandbox failed on a request")
            status = 500
            response = web.json_response(broken().body, status=status)
        finally:
            if name in ENDPOINTS or name == "elsewhere":
                traffic.answers[name, status] += 1
        return response

    return count


def dating(service: Service) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the hook that dates answers by the sandbox's own clock."""

    async def date(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(service.real.now_ms() / 1000, usegmt=True)

    return date
