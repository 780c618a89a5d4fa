"""Descriptions of a selection of tables, by a session."""

import asyncio
from typing import cast

import pytest
from tests.describe.examples import ID

from dapkit.client.session import Session
from dapkit.describe.names import Selection
from dapkit.describe.run import DescribeResult, describe
from dapkit.errors import NotFoundError, TableNotFoundError, UsageError
from dapkit.model import VersionedSchema

TABLES = {"canvas": ("courses", "users"), "canvas_logs": ("web_logs",), "own": ("novelties", "without_a_key")}


class Service:
    """The part of a session that descriptions need."""

    async def tables(self, namespace: str) -> tuple[str, ...]:
        if namespace not in TABLES:
            raise NotFoundError(f"No namespace {namespace}")
        return TABLES[namespace]

    async def schema(self, namespace: str, table: str) -> VersionedSchema:
        if table not in TABLES[namespace]:
            raise TableNotFoundError(f"No table {table}")
        properties = {} if table == "without_a_key" else {"key": {"properties": {"id": ID}}}
        return VersionedSchema(namespace=namespace, table=table, version=1, document={"properties": properties})


def described(selection: Selection, exclude: Selection | None = None) -> DescribeResult:
    return asyncio.run(describe(cast(Session, Service()), selection, exclude))


def test_tables_of_several_namespaces_are_described_in_order() -> None:
    result = described({"own": ("novelties",), "canvas": ("all",)})
    assert [each.qualified for each in result.done] == ["own.novelties", "canvas.courses", "canvas.users"]
    assert result.failed == ()
    result.raise_for_failed()


def test_relations_of_the_catalogue_are_added() -> None:
    (users,) = described({"canvas": ("users",)}).done
    assert ("canvas.enrollments", "user_id") in [(each.table, each.column) for each in users.referenced_by]


def test_a_table_that_fails_does_not_stop_the_others() -> None:
    result = described({"canvas": ("usres", "users", "../x"), "own": ("without_a_key",)})
    assert [each.qualified for each in result.done] == ["canvas.users"]
    assert {each.table: each.error.code for each in result.failed} == {
        "usres": "table-not-found",
        "../x": "unsafe-name",
        "without_a_key": "unexpected-response",
    }
    assert "users" in result.failed[0].error.hint


def test_tables_can_be_left_out() -> None:
    result = described({"canvas": ("all",)}, {"canvas": ("user*",)})
    assert [each.name for each in result.done] == ["courses"]
    with pytest.raises(UsageError, match="No table of own is selected"):
        described({"canvas": ("all",)}, {"own": ("novelties",)})


def test_a_namespace_with_two_names_is_described_once() -> None:
    result = described({"canvas_log": ("all",), "canvas_logs": ("web_logs",)})
    assert [each.qualified for each in result.done] == ["canvas_logs.web_logs"]
    assert len(result.notices) == 1


def test_a_result_is_shown_as_text_diagram_sources_and_in_notebooks() -> None:
    result = described({"canvas": ("users",), "own": ("novelties",)})
    assert result.text().count("schema version 1") == 2
    assert max(map(len, result.text(40).splitlines())) <= 40
    assert result.mermaid().startswith("erDiagram")
    assert result.dbt_sources().startswith("version: 2")
    assert "<td>canvas.users</td>" in result._repr_html_()
