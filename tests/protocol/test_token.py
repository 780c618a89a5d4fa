"""The lifetime of a token does not depend on wrong clocks."""

import base64
import json

import pytest

from dapkit.protocol.messages import TokenResponse
from dapkit.protocol.token import token_from_response

NOW = 1_700_000_000.0


def jwt(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


@pytest.mark.parametrize(
    ("token", "expires_in", "service_date", "life"),
    [
        ("opaque", 3600.0, None, 3600.0),
        ("opaque", None, None, 600.0),
        ("a.b.c", 3600.0, None, 3600.0),
        ("a.!!!.c", 3600.0, None, 3600.0),
        (jwt(sub="x"), 3600.0, None, 3600.0),
        (jwt(exp="soon"), 3600.0, None, 3600.0),
        (jwt(exp=NOW + 1800), None, None, 1800.0),
        # our clock is two hours ahead of the service's: only the service's own times are compared
        (jwt(exp=NOW - 7200 + 1800), 3600.0, NOW - 7200, 1800.0),
        (jwt(exp=NOW - 7200 + 3600), 3600.0, None, 3600.0),
        (jwt(iat=NOW - 7200, exp=NOW - 7200 + 1800), 3600.0, None, 1800.0),
        (jwt(iat=NOW - 7200, exp=NOW - 7200 + 1800), None, None, 1800.0),
        (jwt(exp=NOW - 10), None, None, 0.0),
        ("opaque", -5.0, None, 0.0),
    ],
)
def test_lifetime(token: str, expires_in: float | None, service_date: float | None, life: float) -> None:
    response = TokenResponse(access_token=token, expires_in=expires_in)
    assert token_from_response(response, requested_at=NOW, service_date=service_date).expires_at == NOW + life


@pytest.mark.parametrize(("life", "margin"), [(3600.0, 300.0), (1200.0, 300.0), (400.0, 100.0), (4.0, 1.0)])
def test_a_token_is_renewed_five_minutes_or_a_quarter_of_its_lifetime_early(life: float, margin: float) -> None:
    token = token_from_response(TokenResponse(access_token="t", expires_in=life), requested_at=NOW)
    assert not token.is_stale(NOW + life - margin - 0.01)
    assert token.is_stale(NOW + life - margin)


def test_repr_omits_the_token() -> None:
    assert "secret" not in repr(
        token_from_response(TokenResponse(access_token="secret", expires_in=1.0), requested_at=NOW)
    )
