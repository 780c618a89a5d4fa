"""PURE: a bearer token and when to renew it.

Our clock may be wrong by hours. So the lifetime of a token counts from the moment we requested it, on our own clock;
the times in the token are only compared with each other or with the service's date.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import msgspec

from dapkit.protocol.messages import TokenResponse

RENEWAL_MARGIN: Final = 300.0
"""A token is renewed this many seconds before it expires, so that a request under way does not lose it."""

_DEFAULT_LIFETIME: Final = 600.0


class _Claims(msgspec.Struct):
    exp: float | None = None
    iat: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Token:
    """A token in use. Times are seconds since the epoch on our clock."""

    text: str
    expires_at: float
    renew_at: float

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at!r})"

    def is_stale(self, now: float) -> bool:
        """Whether it must be renewed before the next request."""
        return now >= self.renew_at


def token_from_response(response: TokenResponse, *, requested_at: float, service_date: float | None = None) -> Token:
    """Return the token of a login.

    Args:
        response: the response to the login.
        requested_at: when the login was sent, on our clock.
        service_date: the service's clock at the time of its response, if known.
    """
    claims = _claims(response.access_token)
    lifetimes = [] if response.expires_in is None else [response.expires_in]
    if claims.exp is not None:
        if service_date is not None:
            lifetimes.append(claims.exp - service_date)
        elif claims.iat is not None:
            lifetimes.append(claims.exp - claims.iat)
        elif not lifetimes:
            lifetimes.append(claims.exp - requested_at)
    # Where two sources disagree, the shorter lifetime costs a login, the longer one a failed request.
    lifetime = max(0.0, min(lifetimes, default=_DEFAULT_LIFETIME))
    expires_at = requested_at + lifetime
    renew_at = expires_at - min(RENEWAL_MARGIN, lifetime / 4)
    return Token(text=response.access_token, expires_at=expires_at, renew_at=renew_at)


def _claims(token: str) -> _Claims:
    """Return the times in a JSON Web Token, unverified; none of any other token."""
    parts = token.split(".")
    if len(parts) != 3:
        return _Claims()
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return _Claims()
