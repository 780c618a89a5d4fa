"""Encoding of request bodies and decoding of responses."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dapkit.errors import UnexpectedResponseError, UsageError
from dapkit.model import Format, JobStatus, Mode, Query
from dapkit.protocol import messages

COMPLETE: dict[str, Any] = {
    "id": "j1",
    "status": "complete",
    "expires_at": "2024-01-02T00:00:00Z",
    "objects": [{"id": "j1/a"}, {"id": "j1/b"}],
    "schema_version": 3,
    "at": "2024-01-01T00:00:00.123456789Z",
}


def body(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(format=Format.JSONL), {"format": "jsonl"}),
        (Query(format=Format.TSV, mode=Mode.CONDENSED), {"format": "tsv", "mode": "condensed"}),
        (
            Query(format=Format.CSV, since="2024-01-01T00:00:00Z", until="2024-01-02T00:00:00Z"),
            {"format": "csv", "since": "2024-01-01T00:00:00Z", "until": "2024-01-02T00:00:00Z"},
        ),
    ],
)
def test_a_query_omits_what_is_not_set(query: Query, expected: dict[str, str]) -> None:
    assert json.loads(messages.encode_query(query)) == expected


def test_object_ids_are_encoded_as_objects() -> None:
    assert json.loads(messages.encode_object_ids(["a", "b/c"])) == [{"id": "a"}, {"id": "b/c"}]


@pytest.mark.parametrize(("name", "expected"), [("courses", "courses"), ("a/b", "a%2Fb"), ("a b?", "a%20b%3F")])
def test_a_name_is_encoded_as_one_path_segment(name: str, expected: str) -> None:
    assert messages.path_segment(name) == expected


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_change_the_path_is_rejected(name: str) -> None:
    with pytest.raises(UsageError):
        messages.path_segment(name)


@pytest.mark.parametrize(
    ("expires_in", "life"), [(3600, 3600.0), (3599.5, 3599.5), ("3600", 3600.0), ("soon", None), (None, None)]
)
def test_a_token_with_any_form_of_lifetime(expires_in: object, life: float | None) -> None:
    response = messages.decode_token_response(
        body({"access_token": "t", "expires_in": expires_in, "scope": "x", "new": 1})
    )
    assert response.access_token == "t"
    assert response.expires_in == life


@pytest.mark.parametrize("token", ["", " ", "tökén", "a\nb"])
def test_a_token_that_a_header_cannot_carry(token: str) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        messages.decode_token_response(body({"access_token": token}))
    assert not token.strip() or token not in caught.value.message


def test_errors_never_quote_a_login() -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        messages.decode_token_response(b'{"access_tokem": "very-secret-token"}')
    assert "very-secret-token" not in str(caught.value.as_dict())
    assert "very-secret-token" not in repr(messages.decode_token_response(body({"access_token": "very-secret-token"})))


def test_tables_keep_their_order_without_duplicates() -> None:
    assert messages.decode_tables(body({"tables": ["b", "a", "b"], "next": None})) == ("b", "a")


def test_a_schema() -> None:
    schema = messages.decode_schema(body({"schema": {"title": "x"}, "version": 7}), "canvas", "courses")
    assert (schema.namespace, schema.table, schema.version) == ("canvas", "courses", 7)
    assert schema.document == {"title": "x"}


def test_a_complete_snapshot() -> None:
    job = messages.decode_job(body({**COMPLETE, "something": {"new": True}}))
    assert job.status is JobStatus.COMPLETE
    assert job.objects == ("j1/a", "j1/b")
    assert job.expires_at == 1704153600.0
    assert job.watermark == "2024-01-01T00:00:00.123456789Z"
    assert job.schema_version == 3


def test_duplicate_objects_are_removed() -> None:
    job = messages.decode_job(body({**COMPLETE, "objects": [{"id": "b"}, {"id": "a"}, {"id": "b"}]}))
    assert job.objects == ("b", "a")


def test_a_complete_increment() -> None:
    fields = {key: value for key, value in COMPLETE.items() if key != "at"}
    job = messages.decode_job(body({**fields, "since": "2024-01-01T00:00:00Z", "until": "2024-01-01T04:00:00Z"}))
    assert (job.at, job.since, job.until) == (
        None,
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 4, tzinfo=UTC),
    )
    assert (job.since_text, job.watermark) == ("2024-01-01T00:00:00Z", "2024-01-01T04:00:00Z")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-02T00:00:00Z", 1704153600.0),
        ("2024-01-02T01:00:00+01:00", 1704153600.0),
        ("2024-01-02T00:00:00", 1704153600.0),
        ("2024-01-02T00:00:00.5Z", 1704153600.5),
    ],
)
def test_expiry_in_any_zone(text: str, seconds: float) -> None:
    assert messages.decode_job(body({"id": "j", "status": "running", "expires_at": text})).expires_at == seconds


@pytest.mark.parametrize("status", ["waiting", "running"])
def test_a_job_in_progress_needs_nothing_but_its_id(status: str) -> None:
    job = messages.decode_job(body({"id": "j", "status": status}))
    assert (job.id, job.status.value, job.objects) == ("j", status, ())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "ProcessingError", "uuid": "u", "message": "m"}, ("ProcessingError", "u", "m")),
        ({"type": "ProcessingError", "uuid": "u", "message": ""}, ("ProcessingError", "u", "")),
        (None, ("", None, "")),
    ],
)
def test_a_failed_job(error: object, expected: tuple[str, str | None, str]) -> None:
    job = messages.decode_job(body({"id": "j", "status": "failed", "error": error}))
    assert job.failure is not None
    assert (job.failure.type, job.failure.uuid, job.failure.message) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"<html><title>Sign in</title></html>", "<html><title>Sign in"),
        (b'{"id": "j1"', "not JSON"),
        (b'{"id": "j1"}', "status"),
        (b'{"id": 5, "status": "waiting"}', "$.id"),
        (b'["j1"]', "object"),
        (body({"id": "j1", "status": "paused"}), "paused"),
        (body({"id": "", "status": "waiting"}), "without an id"),
        (body({key: value for key, value in COMPLETE.items() if key != "objects"}), "objects"),
        (body({key: value for key, value in COMPLETE.items() if key != "schema_version"}), "schema_version"),
        (body({key: value for key, value in COMPLETE.items() if key != "at"}), "at (or since and until)"),
        (body({**COMPLETE, "objects": [{"name": "x"}]}), "id"),
        (body({**COMPLETE, "expires_at": "tomorrow"}), "tomorrow"),
        (body({**COMPLETE, "at": "banana"}), "banana"),
        (body({**COMPLETE, "at": None, "since": "2024-01-01T00:00:00Z", "until": "soon"}), "soon"),
        (b'{"new": ' + b"[" * 100_000, "not JSON"),
        (b'\xff\xfe{"id"', "not JSON"),
    ],
)
def test_an_invalid_job_is_described_in_one_line(content: bytes, expected: str) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        messages.decode_job(content)
    assert expected in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


def test_urls_of_the_requested_objects() -> None:
    url = "https://store.example/a?X-Amz-Signature=a%2Fb"
    answer = body({"urls": {"a": {"url": url, "expires": 5}, "other": {"url": "x"}}})
    assert messages.decode_urls(answer, ["a"]) == {"a": url}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://store.example/a?sig=SECRET",
        "file:///etc/passwd?sig=SECRET",
        "https:///a?sig=SECRET",
        "https://user:SECRET@store.example/a",
        "https://store.example/a b?sig=SECRET",
        "https://store.example/a\r\nHost: x?sig=SECRET",
        "https://store.example:port/a?sig=SECRET",
        "https://[store/a?sig=SECRET",
    ],
)
def test_an_invalid_url_is_rejected_without_showing_its_signature(url: str) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        messages.decode_urls(body({"urls": {"a": {"url": url}}}), ["a"])
    assert "SECRET" not in caught.value.message
    assert "\n" not in caught.value.message


def test_a_missing_url_is_an_error() -> None:
    with pytest.raises(UnexpectedResponseError, match="'b'"):
        messages.decode_urls(body({"urls": {"a": {"url": "https://store.example/a"}}}), ["a", "b"])


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", False), (b"<html>", False), (b'{"a": 1', False), (b"{}", True), (b"[1]", True)]
)
def test_is_json(content: bytes, expected: bool) -> None:
    assert messages.is_json(content) is expected


@pytest.mark.parametrize(("content", "expected"), [(b"[]", None), (b"no", None), (b'{"a": 1}', {"a": 1})])
def test_as_object(content: bytes, expected: object) -> None:
    assert messages.as_object(content) == expected
