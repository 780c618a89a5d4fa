"""A bearer token and when it is too old.

The life of a token is reckoned on our own clock, from the moment when it was asked for, because that clock
may be wrong by hours: the token's own times are only compared with each other or with the service's date.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import msgspec

from dapkit.protocol.messages import TokenResponse

RENEW_WITH_LEFT: Final = 300.0
"""Seconds of life below which a token is renewed before it is used again."""

_UNKNOWN_LIFE: Final = 600.0


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

    def stale(self, now: float) -> bool:
        """Whether it must be renewed before the next request."""
        return now >= self.renew_at


def token_of(grant: TokenResponse, *, asked_at: float, service_date: float | None = None) -> Token:
    """Return the token that a login gave.

    Args:
        grant: the login's answer.
        asked_at: when the login was sent, on our clock.
        service_date: what the service's clock said when it answered, if it did.
    """
    claims = _claims(grant.access_token)
    lives = [] if grant.expires_in is None else [grant.expires_in]
    if claims.exp is not None:
        if service_date is not None:
            lives.append(claims.exp - service_date)
        elif claims.iat is not None:
            lives.append(claims.exp - claims.iat)
        elif not lives:
            lives.append(claims.exp - asked_at)
    life = max(0.0, min(lives, default=_UNKNOWN_LIFE))
    expires_at = asked_at + life
    return Token(text=grant.access_token, expires_at=expires_at, renew_at=expires_at - min(RENEW_WITH_LEFT, life / 4))


def _claims(token: str) -> _Claims:
    """Return the times that a JSON Web Token states; none for any other token. Nothing is verified."""
    parts = token.split(".")
    if len(parts) != 3:
        return _Claims()
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return _Claims()
