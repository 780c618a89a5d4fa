"""Authentication: client credentials are exchanged for a token, which every API call then carries."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dapkit.sandbox.service.responses import Json, forbidden, invalid_request, unauthenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The one account of a sandbox. With `any_credentials`, every login succeeds."""

    client_id: str
    client_secret: str
    any_credentials: bool
    token_seconds: int


class TokenIssuer:
    """Issues and checks signed tokens (JWT, HS256). Tokens are valid only in the process that issued them."""

    def __init__(self, account: Account, now_ms: Callable[[], int]) -> None:
        self._account = account
        self._now_ms = now_ms
        self._key = secrets.token_bytes(32)

    def issue(self, authorization: str | None, form: Mapping[str, object]) -> Json:
        """Return the response to a login with Basic credentials in the header and the grant type in the form."""
        if form.get("grant_type") != "client_credentials":
            raise invalid_request("grant_type must be client_credentials")
        client_id = self._authenticate(authorization)
        now = self._now_ms() // 1000
        seconds = self._account.token_seconds
        scope = "dap:query"
        claims = {"iss": "sandbox", "sub": client_id, "iat": now, "exp": now + seconds, "scope": scope}
        head = f"{_encode(json.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_encode(json.dumps(claims))}"
        return {
            "access_token": f"{head}.{self._signature(head)}",
            "expires_in": seconds,
            "scope": scope,
            "token_type": "Bearer",
        }

    def verify(self, authorization: str | None, instauth: str | None) -> str:
        """Return the client id of a token, from the Authorization header or the older x-instauth header."""
        scheme, _, bearer = (authorization or "").partition(" ")
        token = bearer.strip() if scheme.lower() == "bearer" else instauth
        if not token:
            raise unauthenticated("An access token is required")
        head, _, signature = token.rpartition(".")
        # Check the signature before anything inside the token is parsed: only then is it well-formed.
        if not hmac.compare_digest(self._signature(head).encode(), signature.encode()):
            raise unauthenticated("The access token is not valid")
        claims = json.loads(_decode(head.split(".")[1]))
        if claims["exp"] * 1000 <= self._now_ms():
            raise unauthenticated("The access token has expired")
        return str(claims["sub"])

    def _authenticate(self, authorization: str | None) -> str:
        scheme, _, encoded = (authorization or "").partition(" ")
        account = self._account
        if scheme.lower() != "basic":
            if account.any_credentials:
                return account.client_id
            raise forbidden("RequestTypeForbidden", "Credentials are required")
        try:
            client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise invalid_request("The Authorization header is malformed")
        given, expected = f"{client_id}:{secret}", f"{account.client_id}:{account.client_secret}"
        if not account.any_credentials and not hmac.compare_digest(given.encode(), expected.encode()):
            raise forbidden("RequestTypeForbidden", "The credentials are not valid")
        return client_id

    def _signature(self, head: str) -> str:
        digest = hmac.digest(self._key, head.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
