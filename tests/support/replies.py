"""Responses of the service, built in memory as the HTTP transport returns them."""

import json

from dapkit.client.http import HttpResponse

__all__ = ["TABLES", "error_reply", "reply"]


def reply(status: int = 200, content: object = None, **headers: str) -> HttpResponse:
    """Return a response; keyword arguments such as `Retry_After` become headers, and bytes are the body as it is."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpResponse(
        status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body
    )


def error_reply(status: int, type_: str = "Some", **headers: str) -> HttpResponse:
    """Return an error response of the service."""
    return reply(status, {"error": {"type": type_, "uuid": "u-1", "message": "no"}}, **headers)


TABLES = reply(200, {"tables": ["a", "b"]})
