"""Response bodies conform to the published description of the API."""

import json
from typing import Any

import pytest

from dapkit import spec
from dapkit.sandbox.data.dataset import DataQuery
from dapkit.sandbox.service import responses

API = json.loads(spec.read("query-api.json"))
SNAPSHOT = DataQuery(namespace="canvas", table="users", format="csv", until_ms=5)
INCREMENT = DataQuery(namespace="canvas", table="users", format="csv", since_ms=3, until_ms=5)
DATA = ("/query/{namespace}/table/{table}/data", "post")
LIST = ("/query/{namespace}/table", "get")
STATUS = ("/job/{id}", "get")


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether a value fits a schema, for the parts of JSON Schema that the description uses."""
    if "$ref" in schema:
        return conforms(value, API["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "oneOf" in schema:
        return any(conforms(value, choice) for choice in schema["oneOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    match schema.get("type"):
        case "object":
            known = schema.get("properties", {})
            other = schema.get("additionalProperties", True)
            if not isinstance(value, dict) or not set(schema.get("required", ())) <= set(value):
                return False
            if other is False and not set(value) <= set(known):
                return False
            more = other if isinstance(other, dict) else {}
            return all(conforms(item, known.get(name, more)) for name, item in value.items())
        case "array":
            return isinstance(value, list) and all(conforms(item, schema["items"]) for item in value)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int)
    return True


def documented(place: tuple[str, str], status: int) -> dict[str, Any]:
    path, method = place
    answer = API["paths"][path][method]["responses"][str(status)]
    return dict(answer["content"]["application/json"]["schema"])


def test_only_types_of_errors_are_qualified() -> None:
    job = responses.job_in_progress("a", "waiting", 0)
    assert responses.with_qualified_type(job) == job
    timeout = responses.gateway_timeout().body
    assert responses.with_qualified_type(timeout) == timeout
    assert responses.with_qualified_type({}) == {}
    error = responses.out_of_range(0).body["error"]
    qualified = responses.with_qualified_type({"error": error})["error"]
    assert qualified == error | {"type": "com.example.OutOfRangeError"}


@pytest.mark.parametrize("place", [DATA, STATUS])
@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (202, responses.job_in_progress("a", "waiting", 0)),
        (202, responses.job_in_progress("a", "running", 0)),
        (200, responses.job_complete("a", 0, SNAPSHOT, objects=["b"], version=1)),
        (200, responses.job_complete("a", 0, INCREMENT, objects=[], version=1)),
        (200, responses.job_failed("a", 0)),
    ],
)
def test_jobs(place: tuple[str, str], status: int, answer: Any) -> None:
    assert conforms(answer, documented(place, status))
    assert not conforms(answer | {"more": 1}, documented(place, status))


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (DATA, responses.invalid_request("what")),
        (DATA, responses.out_of_range(5)),
        (DATA, responses.snapshot_required(5, 6)),
        (LIST, responses.unauthenticated("who")),
        (LIST, responses.not_found("namespace", "moon")),
        (STATUS, responses.not_found("job", "abc")),
        (LIST, responses.server_error()),
        (DATA, responses.gateway_timeout()),
    ],
)
def test_errors(place: tuple[str, str], error: responses.ApiError) -> None:
    assert conforms(error.body, documented(place, error.status))


def test_errors_have_a_uuid_of_their_own_and_a_failed_job_always_the_same() -> None:
    assert len({responses.server_error().body["error"]["uuid"] for _ in range(3)}) == 3
    assert responses.job_failed("a", 0) == responses.job_failed("a", 0)


def test_the_checker_rejects_wrong_bodies() -> None:
    assert not conforms({"tables": [1]}, documented(LIST, 200))
    assert not conforms({}, documented(LIST, 200))
    assert not conforms({"error": {"type": "x"}}, documented(LIST, 401))
