"""`dap describe`, of a small sandbox."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dapkit.cli import console

DESCRIBE = ("--sandbox", "--sandbox-scale", "0.05", "describe")
PAGE = Path(__file__).parents[3] / "docs" / "describe.md"


def test_a_table_is_described(dap: Callable[..., Any]) -> None:
    outcome = dap(*DESCRIBE, "canvas.submissions")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines[1:3] == ["The submissions of canvas.", "Key: id"]
    assert "column type null meaning" in lines
    assert "user_id int64 no User id: the key of users." in lines
    assert "assignment_id canvas.assignments.id" in lines
    assert "canvas.submission_comments submission_id" in lines


def test_lines_in_a_pipe_are_as_long_as_they_need_to_be(
    dap: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = dap(*DESCRIBE, "canvas.content_tags").out
    assert max(map(len, piped.splitlines())) > 150
    monkeypatch.setattr(console, "_width_of", lambda _stream: 70)
    shown = dap(*DESCRIBE, "canvas.content_tags").out
    assert max(map(len, shown.splitlines())) <= 70
    assert shown.split() == piped.split()


def test_several_tables_patterns_and_namespaces(dap: Callable[..., Any]) -> None:
    named = dap(*DESCRIBE, "canvas.quiz*,catalog.users", "--namespace", "canvas", "--table", "users", "--json")
    tables = [f"{each['namespace']}.{each['table']}" for each in json.loads(named.out)["tables"]]
    assert {"canvas.quizzes", "catalog.users", "canvas.users"} < set(tables)
    less = dap(*DESCRIBE, "catalog.all", "--exclude", "catalog.users", "--json")
    assert "users" not in [each["table"] for each in json.loads(less.out)["tables"]]


def test_the_diagram_is_that_of_the_documentation(dap: Callable[..., Any]) -> None:
    shown = re.search(r"```mermaid\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown
    assert dap(*DESCRIBE, "canvas.enrollments", "--diagram").out == shown[1]


def test_sources_are_written_to_a_file(dap: Callable[..., Any]) -> None:
    outcome = dap(*DESCRIBE, "canvas.enrollments,canvas.users", "--dbt", "--output", "models/sources.yml")
    assert (outcome.code, outcome.out) == (0, "models/sources.yml\n")
    assert "canvas.courses" in outcome.err, "a note about references that are not tested"
    text = Path("models/sources.yml").read_text(encoding="utf-8")
    assert text == dap(*DESCRIBE, "canvas.enrollments,canvas.users", "--dbt").out
    (source,) = yaml.safe_load(text)["sources"]
    assert [table["name"] for table in source["tables"]] == ["enrollments", "users"]


def test_all_tables_of_canvas_make_one_file(dap: Callable[..., Any]) -> None:
    (source,) = yaml.safe_load(dap(*DESCRIBE, "canvas.all", "--dbt").out)["sources"]
    names = {table["name"]: {column["name"] for column in table["columns"]} for table in source["tables"]}
    tests = [
        test["relationships"]["arguments"]
        for table in source["tables"]
        for column in table["columns"]
        for test in column.get("data_tests", ())
        if isinstance(test, dict)
    ]
    assert len(tests) > 100
    for test in tests:
        found = re.fullmatch(r"source\('canvas', '(\w+)'\)", test["to"])
        assert found
        assert test["field"] in names[found[1]]


def test_a_table_that_fails_keeps_the_file_as_it_is(dap: Callable[..., Any]) -> None:
    Path("sources.yml").write_text("complete", encoding="utf-8")
    outcome = dap(*DESCRIBE, "canvas.users,canvas.usres", "--dbt", "--output", "sources.yml")
    assert (outcome.code, outcome.out) == (3, "")
    assert "sources.yml was not written" in outcome.err
    assert Path("sources.yml").read_text(encoding="utf-8") == "complete"


def test_a_table_that_fails_does_not_stop_the_others(dap: Callable[..., Any]) -> None:
    outcome = dap(*DESCRIBE, "canvas.users", "canvas.usres", "--json")
    made = json.loads(outcome.out)
    assert outcome.code == made["exit_code"] == 3
    assert [each["table"] for each in made["tables"]] == ["users"]
    assert [each["table"] for each in made["failed"]] == ["usres"]


def test_an_unknown_table_alone_is_not_found(dap: Callable[..., Any]) -> None:
    outcome = dap(*DESCRIBE, "canvas.usres")
    assert (outcome.code, outcome.out) == (30, "")
    assert "users" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No table is named"),
        (("users",), "'users' names no namespace"),
        (("canvas",), "Use canvas.all"),
        (("canvas.users", "--dbt", "--diagram"), "--diagram and --dbt exclude each other"),
        (("canvas.users", "--dbt", "--json"), "--dbt and --json exclude each other"),
        (("canvas.users", "--output", "x"), "--output needs --diagram or --dbt"),
        (("canvas.users", "--dbt", "--output", "."), "is a directory"),
        (("canvas.nothing*",), "No table matches 'nothing*'"),
    ],
)
def test_usage_errors(dap: Callable[..., Any], arguments: tuple[str, ...], message: str) -> None:
    outcome = dap(*DESCRIBE, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert list(Path().iterdir()) == []


def test_a_file_that_cannot_be_written_is_explained(dap: Callable[..., Any]) -> None:
    Path("file").touch()
    outcome = dap(*DESCRIBE, "canvas.users", "--dbt", "--output", "file/sources.yml")
    assert outcome.code == 42
    assert "--output" in outcome.err
