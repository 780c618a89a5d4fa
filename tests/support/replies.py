"""Answers of a service in memory, as a session's transport gives them."""

import json

from dapkit.client.http import HttpResponse

__all__ = ["TABLES", "refusal", "reply"]


def reply(status: int = 200, content: object = None, **headers: str) -> HttpResponse:
    """Return an answer; `Retry_After` and the like become headers, bytes are a body as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpResponse(
        status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body
    )


def refusal(status: int, type_: str = "Some", **headers: str) -> HttpResponse:
    """Return an answer that is an error of the service."""
    return reply(status, {"error": {"type": type_, "uuid": "u-1", "message": "no"}}, **headers)


TABLES = reply(200, {"tables": ["a", "b"]})
