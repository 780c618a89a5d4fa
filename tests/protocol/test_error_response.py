"""Every form of error response becomes the right error."""

import json

import pytest

from dapkit import errors
from dapkit.errors import DapError
from dapkit.protocol.error_response import Endpoint, error_from_response

UUID = "f00d-5678"


def rejected(status: int, fields: dict[str, object], endpoint: Endpoint = Endpoint.SUBMIT) -> DapError:
    return error_from_response(endpoint, status, json.dumps({"error": {"uuid": UUID, **fields}}).encode())


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (400, {"type": "ValidationError", "message": "no"}, errors.RequestError),
        (400, {"type": "OutOfRange", "since": "2024-01-01T00:00:00Z"}, errors.OutOfRangeError),
        (400, {"type": "OutOfRangeError", "message": "x"}, errors.OutOfRangeError),
        (400, {"type": "SomethingNew", "since": "2024-01-01T00:00:00Z"}, errors.OutOfRangeError),
        (400, {"type": "SnapshotRequired", "since": "2024-01-01T00:00:00Z"}, errors.SnapshotRequiredError),
        (400, {"type": "SnapshotRequiredError"}, errors.SnapshotRequiredError),
        (401, {"type": "AuthenticationError"}, errors.RejectedCredentialsError),
        (403, {"type": "AccountDisabled"}, errors.AccountDisabledError),
        (500, {"type": "AccountDisabledError"}, errors.AccountDisabledError),
        (403, {"type": "AccountNotOnboarded"}, errors.AccountNotOnboardedError),
        (403, {"type": "AccountUnderMaintenance"}, errors.AccountMaintenanceError),
        (500, {"type": "AccountUnderMaintenance"}, errors.AccountMaintenanceError),
        (403, {"type": "RequestTypeForbidden"}, errors.ForbiddenError),
        (403, {"type": "Whatever"}, errors.ForbiddenError),
        (404, {"type": "NotFoundError", "kind": "table", "id": "x"}, errors.TableNotFoundError),
        (404, {"type": "NotFoundError", "kind": "namespace", "id": "x"}, errors.NotFoundError),
        (404, {"type": "NotFoundError", "kind": "job", "id": "x"}, errors.ExpiredError),
        (404, {"type": "ObjectNotFound", "kind": "object", "id": "x"}, errors.ExpiredError),
        (404, {"type": "NotFoundError"}, errors.TableNotFoundError),
        (409, {"type": "Conflict"}, errors.RequestError),
        (429, {"type": "TooManyRequests"}, errors.RateLimitedError),
        (500, {"type": "ProcessingError", "message": ""}, errors.ServerError),
        (504, {"message": "Endpoint request timed out"}, errors.ServerError),
    ],
)
def test_status_and_fields_determine_the_error(
    status: int, fields: dict[str, object], expected: type[DapError]
) -> None:
    error = rejected(status, fields)
    assert type(error) is expected
    assert error.uuid == UUID
    assert f"HTTP {status}" in error.message


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (Endpoint.TABLES, errors.NotFoundError),
        (Endpoint.SCHEMA, errors.TableNotFoundError),
        (Endpoint.SUBMIT, errors.TableNotFoundError),
        (Endpoint.POLL, errors.ExpiredError),
        (Endpoint.SIGN, errors.ExpiredError),
        (Endpoint.LOGIN, errors.NotFoundError),
    ],
)
def test_not_found_depends_on_the_request(endpoint: Endpoint, expected: type[DapError]) -> None:
    assert type(rejected(404, {"type": "NotFoundError", "message": "gone"}, endpoint)) is expected


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_rejected_login_means_wrong_credentials(status: int) -> None:
    assert type(rejected(status, {"type": "Forbidden"}, Endpoint.LOGIN)) is errors.RejectedCredentialsError
    oauth = error_from_response(
        Endpoint.LOGIN, status, b'{"error": "invalid_client", "error_description": "unknown key"}'
    )
    assert type(oauth) is errors.RejectedCredentialsError
    assert "invalid_client unknown key" in oauth.message


def test_a_login_to_a_disabled_account() -> None:
    assert type(rejected(403, {"type": "AccountDisabled"}, Endpoint.LOGIN)) is errors.AccountDisabledError


@pytest.mark.parametrize("type_", ["OutOfRange", "SnapshotRequired"])
def test_the_message_has_the_earliest_available_time(type_: str) -> None:
    error = rejected(400, {"type": type_, "since": "2024-01-01T00:00:00Z", "message": "no"})
    assert "2024-01-01T00:00:00Z" in error.message
    assert "2024-01-01T00:00:00Z" in error.hint
    assert "snapshot" in error.hint


@pytest.mark.parametrize(
    ("status", "type_", "expected"),
    [
        (400, "com.example.OutOfRangeError", errors.OutOfRangeError),
        (400, "com.snapshot.OutOfRangeError", errors.OutOfRangeError),
        (400, "com.example.range.SnapshotRequiredError", errors.SnapshotRequiredError),
        (400, "com.example.Errors$SnapshotRequired", errors.SnapshotRequiredError),
        (400, "org.forbidden.ValidationError", errors.RequestError),
        (400, "TooManySnapshots", errors.RequestError),
        (403, "com.example.AccountDisabledError", errors.AccountDisabledError),
        (403, "com.disabled.RequestTypeForbiddenError", errors.ForbiddenError),
        (500, "com.example.RequestTypeForbidden", errors.ForbiddenError),
        (500, "com.example.AccountUnderMaintenanceException", errors.AccountMaintenanceError),
        (500, "com.disabled.ProcessingError", errors.ServerError),
        (404, "com.example.NotFoundError", errors.TableNotFoundError),
    ],
)
def test_only_the_last_word_of_a_qualified_type_counts(status: int, type_: str, expected: type[DapError]) -> None:
    error = rejected(status, {"type": type_, "message": "no"})
    assert type(error) is expected
    assert type_ in error.message


def test_the_hint_explains_that_repeated_snapshots_may_be_denied() -> None:
    fields: dict[str, object] = {"type": "RequestTypeForbidden", "message": "no"}
    assert "snapshots that are repeated" in rejected(403, fields).hint
    assert rejected(403, fields, Endpoint.SCHEMA).hint == ""


def test_the_message_has_the_position_of_the_mistake() -> None:
    error = rejected(400, {"type": "ValidationError", "location": {"line": 3, "column": 14, "character": 40}})
    assert "line 3, column 14" in error.message


@pytest.mark.parametrize("status", [400, 403])
def test_the_hint_mentions_a_missing_scope(status: int) -> None:
    assert "--scope" in rejected(status, {"type": "ValidationError", "message": "Scope is ambiguous"}).hint


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (400, b"", errors.UnexpectedResponseError),
        (400, b"<html>bad</html>", errors.UnexpectedResponseError),
        (401, b"", errors.RejectedCredentialsError),
        (403, b"<html>blocked</html>", errors.ForbiddenError),
        (404, b"<html>not here</html>", errors.UnexpectedResponseError),
        (404, b'{"message": "no Route matched"}', errors.UnexpectedResponseError),
        (404, b'{"error": "Not Found"}', errors.UnexpectedResponseError),
        (404, b'{"error": ["x"]}', errors.UnexpectedResponseError),
        (405, b"", errors.UnexpectedResponseError),
        (407, b"", errors.ProxyError),
        (429, b"slow down", errors.RateLimitedError),
        (500, b'{"error": {"type": 5, "uuid": null, "message": ["x"]}}', errors.ServerError),
        (502, b"<html>Bad gateway</html>", errors.ServerError),
        (503, b"", errors.ServerError),
        (204, b"", errors.UnexpectedResponseError),
        (418, b"[]", errors.UnexpectedResponseError),
        (600, b"", errors.ServerError),
    ],
)
def test_without_an_error_object_the_status_determines_the_error(
    status: int, content: bytes, expected: type[DapError]
) -> None:
    error = error_from_response(Endpoint.POLL, status, content)
    assert type(error) is expected
    assert error.uuid is None
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example/sso?token=SECRET#x", "https://login.example/sso"),
        ("/elsewhere?token=SECRET", "/elsewhere"),
        ("https://user:SECRET@login.example:port/", "an invalid URL"),
        (None, "nowhere"),
    ],
)
def test_the_target_of_a_redirect_is_shown_without_its_query(location: str | None, shown: str) -> None:
    error = error_from_response(Endpoint.TABLES, 302, b"", location)
    assert type(error) is errors.UnexpectedResponseError
    assert shown in error.message
    assert "SECRET" not in error.message


def test_a_page_is_quoted_in_part_and_without_secrets() -> None:
    page = b"<html>\n  Bearer abcdef.ghijkl.mnopqr  https://x.example/?sig=SECRET " + b"x" * 5000
    error = error_from_response(Endpoint.POLL, 502, page)
    assert "abcdef" not in error.message
    assert "SECRET" not in error.message
    assert len(error.message) < 300
