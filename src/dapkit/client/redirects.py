"""PURE. Where a redirect of the object store leads."""

from urllib.parse import urljoin, urlsplit

from dapkit.errors import UnexpectedResponseError
from dapkit.protocol.redaction import display_url
from dapkit.protocol.secrets import without_traceback


@without_traceback
def redirect_target(url: str, location: str) -> str:
    """Return the URL that a redirect of the object store points to.

    Raises:
        UnexpectedResponseError: it is not a valid HTTP URL, or drops encryption.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        target, parts, valid = location, urlsplit(""), False
    if not valid or "@" in parts.netloc or any(not "!" <= character <= "~" for character in target):
        raise UnexpectedResponseError(f"The object store redirects to an invalid URL: {display_url(target)!r}")
    # The signature in the URL would be sent unencrypted.
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise UnexpectedResponseError(f"The object store redirects from HTTPS to HTTP: {display_url(target)!r}")
    return target
