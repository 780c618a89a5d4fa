"""PURE: texts from outside without credentials, tokens and signatures, so that they may be shown.

Every text that does not originate in our own source code (a response, another library's message, a URL) passes through
here before it reaches a message, a log or a file.
"""

import re
from typing import Final
from urllib.parse import urlsplit

HIDDEN: Final = "[hidden]"

ELLIPSIS: Final = "…"

_MIN_PREFIX: Final = 4
"""Length from which the beginning of a secret is hidden too."""

_USER_INFO: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@\"'<>]+@")
_URL_QUERY: Final = re.compile(r"(?i)\b(https?:[\\/]+[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_AUTHORIZATION: Final = re.compile(r"(?i)\b(basic|bearer)\s+[a-z0-9._~+/=-]{6,}")
_JSON_WEB_TOKEN: Final = re.compile(r"\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,2}")
_NAMED_SECRET: Final = re.compile(
    r"(?i)((?:authorization|x-instauth|access_token|client_secret|secret|password|x-amz-[a-z-]+|signature|sig|"
    r"awsaccesskeyid|key-pair-id|policy)[\"']?\s*[=:]\s*[\"']?)(?!basic\s|bearer\s)[^\s\"'&,;}]+"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def redact(text: str, *secrets: str) -> str:
    """Return the text without credentials, tokens and the query strings of URLs.

    Args:
        text: a text from outside.
        secrets: further texts to hide, such as the client secret in use.
    """
    for secret in secrets:
        if secret:
            text = _hide_truncated(text.replace(secret, HIDDEN), secret)
    text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    text = _URL_QUERY.sub(rf"\1?{HIDDEN}", text)
    text = _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
    text = _JSON_WEB_TOKEN.sub(HIDDEN, text)
    return _NAMED_SECRET.sub(rf"\1{HIDDEN}", text)


def excerpt(content: bytes | str, limit: int = 120) -> str:
    """Return the beginning of a text as one redacted, printable line of at most `limit` characters."""
    # Cut first, to bound the work, but generously: redacting needs to see where a URL or a token ends.
    text = content[: 16 * limit].decode("utf-8", "replace") if isinstance(content, bytes) else content[: 16 * limit]
    line = " ".join(printable(redact(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + ELLIPSIS


def printable(text: str) -> str:
    """Replace control characters, which a terminal would obey, and line breaks by spaces."""
    return _CONTROL.sub(" ", text)


def escaped(text: str) -> str:
    r"""Write control characters and line breaks as escapes such as `\x1b`."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _hide_truncated(text: str, secret: str) -> str:
    """Hide the beginning of a secret where the text was truncated in the middle of it."""
    if ELLIPSIS in text:
        for length in range(len(secret) - 1, _MIN_PREFIX - 1, -1):
            text = text.replace(secret[:length] + ELLIPSIS, HIDDEN + ELLIPSIS)
    return text


INVALID_URL = "an invalid URL"
"""What is shown in place of a text that cannot be taken apart."""


def display_url(url: str) -> str:
    """Return the scheme, host and path of a URL: what may be shown of it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return INVALID_URL
    if ":" in host:
        host = f"[{host}]"
    origin = f"{parts.scheme}://{host}{port}" if host else ""
    return excerpt(f"{origin}{parts.path}", 200)
