"""How decided faults look on the wire: answers given instead of the right one, and right answers spoilt."""

import asyncio
from email.utils import formatdate
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from dapkit.sandbox.faults.rules import Occurrence
from dapkit.sandbox.service import responses
from dapkit.sandbox.service.responses import Json, RefusedError
from dapkit.sandbox.service.state import Service

ELSEWHERE = "/elsewhere"
"""A path on another host name of ours, where redirected API calls lead."""

_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please log in</h1></body></html>\n"

_ACCOUNT_TYPES = {
    "403": "RequestTypeForbidden",
    "account-disabled": "AccountDisabled",
    "account-not-onboarded": "AccountNotOnboarded",
    "account-maintenance": "AccountUnderMaintenance",
}


class NoAnswer(web.Response):
    """What stands for the answer when the connection was closed on purpose; it goes nowhere."""


async def instead(service: Service, request: web.Request, occurrence: Occurrence | None) -> web.StreamResponse | None:
    """Return the answer that a fault gives instead of the right one; None when the right one is to follow."""
    if occurrence is None:
        return None
    match occurrence.kind:
        case "slow":
            await asyncio.sleep(1.0 if occurrence.fault.seconds is None else occurrence.fault.seconds)
        case "stall":
            await silence(service, occurrence)
            return dropped(request)
        case "drop":
            return dropped(request)
        case "html":
            return web.Response(text=_PAGE, content_type="text/html")
        case "html-error":
            return web.Response(status=502, text=_PAGE, content_type="text/html")
        case "garbage":
            return web.Response(body=b'{"id": "\xff\xfe', content_type="application/json")
        case "bare":
            return web.json_response({}, status=500)
        case "redirect":
            return redirect(service, request)
    return None


async def silence(service: Service, occurrence: Occurrence) -> None:
    """Wait as long as a stall lasts: for its time, else until the sandbox closes."""
    try:
        async with asyncio.timeout(occurrence.fault.seconds):
            await service.closing.wait()
    except TimeoutError:
        pass


def dropped(request: web.Request) -> NoAnswer:
    """Close the connection at once."""
    if request.transport is not None:
        request.transport.abort()
    return NoAnswer()


def redirect(service: Service, request: web.Request) -> web.StreamResponse | None:
    """Send the caller to our other host name: an object's URL to itself, an API call elsewhere.

    Who comes by the other name already has been redirected, and gets the right answer.
    """
    parts = urlsplit(service.base_url)
    if request.host != parts.netloc:
        return None
    host = "127.0.0.1" if parts.hostname == "localhost" else "localhost"
    path = request.raw_path if request.path.startswith("/store/") else f"{ELSEWHERE}{request.path}"
    location = f"{urlunsplit((parts.scheme, f'{host}:{parts.port}', '', '', ''))}{path}"
    return web.Response(status=307, headers={"Location": location})


def refusal(service: Service, occurrence: Occurrence | None) -> RefusedError | None:
    """Return the error that a fault answers with, if it is one of those."""
    if occurrence is None:
        return None
    kind, seconds = occurrence.kind, occurrence.fault.seconds
    if kind in _ACCOUNT_TYPES:
        return responses.forbidden(_ACCOUNT_TYPES[kind], "The request is not permitted for this account.")
    match kind:
        case "429":
            pause = 1.0 if seconds is None else seconds
            moment = service.real.now_ms() / 1000 + pause
            text = formatdate(moment, usegmt=True) if occurrence.fault.date else str(int(pause))
            return responses.too_many(text)
        case "401":
            return responses.unauthenticated("The access token is not valid.")
        case "500" | "502" | "503":
            error = responses.broken(int(kind))
            if seconds is not None:
                error.headers["Retry-After"] = str(int(seconds))
            return error
        case "504":
            return responses.gateway_timeout()
    return None


def spoilt(answer: Json, occurrence: Occurrence | None) -> Json:
    """Return an answer as a fault leaves it."""
    match occurrence.kind if occurrence else None:
        case "absent" if occurrence:
            required = [name for name in answer if name != "expires_at"]
            gone = required[int(occurrence.fraction * len(required))]
            return {name: value for name, value in answer.items() if name != gone}
        case "extra":
            return answer | {"x_new": {"since": "tomorrow"}, "x_note": None}
        case "unknown-state":
            return answer | {"status": "archived"}
    return answer
