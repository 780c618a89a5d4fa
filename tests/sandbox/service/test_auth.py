"""Which logins get a token, and which tokens are accepted."""

import base64
import json
from typing import Any

import pytest

from dapkit.sandbox.service.auth import Account, TokenIssuer
from dapkit.sandbox.service.responses import ApiError

GRANT = {"grant_type": "client_credentials"}


def account(**changes: Any) -> Account:
    fields: dict[str, Any] = {"client_id": "a#b", "client_secret": "c:d", "any_credentials": False, "token_seconds": 60}
    return Account(**(fields | changes))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def rejected_with(call: Any, *arguments: Any) -> int:
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    return caught.value.status


def test_the_login_response_has_the_documented_fields() -> None:
    answer = TokenIssuer(account(), lambda: 5_000).issue(basic("a#b:c:d"), GRANT)
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer["expires_in"] == 60
    claims = answer["access_token"].split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] == 65


@pytest.mark.parametrize(
    ("authorization", "form", "status"),
    [
        (basic("a#b:c:d"), {}, 400),
        (basic("a#b:c:d"), {"grant_type": "password"}, 400),
        ("Basic %%%", GRANT, 400),
        (basic("no colon"), GRANT, 400),
        (None, GRANT, 403),
        ("Bearer x", GRANT, 403),
        (basic("a#b:wrong"), GRANT, 403),
        (basic("wrong:c:d"), GRANT, 403),
    ],
)
def test_rejected_logins(authorization: str | None, form: dict[str, str], status: int) -> None:
    assert rejected_with(TokenIssuer(account(), lambda: 0).issue, authorization, form) == status


@pytest.mark.parametrize("authorization", [None, basic("any:thing")])
def test_an_account_may_accept_any_credentials(authorization: str | None) -> None:
    login = TokenIssuer(account(any_credentials=True), lambda: 0)
    token = login.issue(authorization, GRANT)["access_token"]
    assert login.verify(f"Bearer {token}", None) in ("a#b", "any")


def test_a_token_is_valid_until_it_expires() -> None:
    now = [0]
    login = TokenIssuer(account(), lambda: now[0])
    token = login.issue(basic("a#b:c:d"), GRANT)["access_token"]
    now[0] = 59_999
    assert login.verify(f"bearer {token}", None) == "a#b"
    assert login.verify(None, token) == "a#b"
    now[0] = 60_000
    assert rejected_with(login.verify, f"Bearer {token}", None) == 401


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi"])
def test_no_token(authorization: str | None) -> None:
    assert rejected_with(TokenIssuer(account(), lambda: 0).verify, authorization, None) == 401


def test_modified_and_foreign_tokens_are_rejected() -> None:
    login = TokenIssuer(account(), lambda: 0)
    head, claims, signature = login.issue(basic("a#b:c:d"), GRANT)["access_token"].split(".")
    longer = base64.urlsafe_b64encode(json.dumps({"sub": "a#b", "exp": 10**10}).encode()).decode()
    assert rejected_with(login.verify, f"Bearer {head}.{longer}.{signature}", None) == 401
    assert rejected_with(TokenIssuer(account(), lambda: 0).verify, f"Bearer {head}.{claims}.{signature}", None) == 401
