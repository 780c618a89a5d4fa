"""What a client receives when a fault is injected: responses in place of the correct one, and corrupted ones."""

import asyncio
from email.utils import formatdate
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from dapkit.sandbox.faults import InjectedFault
from dapkit.sandbox.service import responses
from dapkit.sandbox.service.responses import ApiError, Json
from dapkit.sandbox.service.state import SandboxState

OTHER_HOST = "/elsewhere"
"""The path under which a redirected API call arrives at our other host name."""

_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please log in</h1></body></html>\n"

_FORBIDDEN_TYPES = {
    "403": "RequestTypeForbidden",
    "account-disabled": "AccountDisabled",
    "account-not-onboarded": "AccountNotOnboarded",
    "account-maintenance": "AccountUnderMaintenance",
}


class ClosedConnection(web.Response):
    """Returned to aiohttp after the connection was closed on purpose. It is never sent."""


async def fault_response(
    state: SandboxState, request: web.Request, fault: InjectedFault | None
) -> web.StreamResponse | None:
    """Return the response that a fault sends in place of the correct one, or None if the correct one follows.

    Raises ApiError for a fault that is an error of the API.
    """
    if fault is None:
        return None
    if (error := _fault_error(state, fault)) is not None:
        raise error
    return await _other_response(state, request, fault)


async def _other_response(state: SandboxState, request: web.Request, fault: InjectedFault) -> web.StreamResponse | None:
    match fault.kind:
        case "slow":
            await asyncio.sleep(1.0 if fault.rule.seconds is None else fault.rule.seconds)
        case "stall":
            await stall(state, fault)
            return close_connection(request)
        case "drop":
            return close_connection(request)
        case "html":
            return web.Response(text=_PAGE, content_type="text/html")
        case "html-error":
            return web.Response(status=502, text=_PAGE, content_type="text/html")
        case "invalid-json":
            return web.Response(body=b'{"id": "\xff\xfe', content_type="application/json")
        case "empty-error":
            return web.json_response({}, status=500)
        case "redirect":
            return _redirect(state, request)
    return None


async def stall(state: SandboxState, fault: InjectedFault) -> None:
    """Wait for the duration of the fault. Without one, wait until the sandbox closes."""
    try:
        async with asyncio.timeout(fault.rule.seconds):
            # A plain sleep would keep the sandbox from shutting down.
            await state.closing.wait()
    except TimeoutError:
        pass


def close_connection(request: web.Request) -> ClosedConnection:
    """Abort the connection: bytes that are not sent yet are lost."""
    if request.transport is not None:
        request.transport.abort()
    return ClosedConnection()


def _redirect(state: SandboxState, request: web.Request) -> web.StreamResponse | None:
    """Redirect an object's URL to the same path, and an API call to `OTHER_HOST`, both on our other host name.

    A request that arrives under the other name has already been redirected and gets the correct response (None).
    """
    parts = urlsplit(state.base_url)
    if request.host != parts.netloc:
        return None
    host = "127.0.0.1" if parts.hostname == "localhost" else "localhost"
    path = request.raw_path if request.path.startswith("/store/") else f"{OTHER_HOST}{request.path}"
    location = f"{urlunsplit((parts.scheme, f'{host}:{parts.port}', '', '', ''))}{path}"
    return web.Response(status=307, headers={"Location": location})


def _fault_error(state: SandboxState, fault: InjectedFault) -> ApiError | None:
    """Return the error that a fault responds with, or None if it does something else."""
    kind, seconds = fault.kind, fault.rule.seconds
    if kind in _FORBIDDEN_TYPES:
        return responses.forbidden(_FORBIDDEN_TYPES[kind], "The request is not permitted for this account")
    match kind:
        case "429":
            pause = 1.0 if seconds is None else seconds
            retry_at = state.real_clock.now_ms() / 1000 + pause
            return responses.rate_limited(formatdate(retry_at, usegmt=True) if fault.rule.date else str(int(pause)))
        case "401":
            return responses.unauthenticated("The access token is not valid")
        case "500" | "502" | "503":
            error = responses.server_error(int(kind))
            if seconds is not None:
                error.headers["Retry-After"] = str(int(seconds))
            return error
        case "504":
            return responses.gateway_timeout()
    return None


def corrupt_response(body: Json, fault: InjectedFault | None) -> Json:
    """Return the JSON body of a correct response as the fault changes it."""
    match fault.kind if fault else None:
        case "missing-field" if fault:
            required = [name for name in body if name != "expires_at"]
            missing = required[int(fault.fraction * len(required))]
            return {name: value for name, value in body.items() if name != missing}
        case "extra-fields":
            return body | {"x_new": {"since": "tomorrow"}, "x_note": None}
        case "unknown-state":
            return body | {"status": "archived"}
    return body
