"""`dap schema`, of a small sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCHEMA = ("--sandbox", "--sandbox-scale", "0.05", "schema", "--namespace", "canvas", "--table")


def test_files_are_named_by_table_and_version(dap: Callable[..., Any]) -> None:
    outcome = dap(*SCHEMA, "courses,users", "--output-directory", "schemas")
    assert outcome.code == 0
    paths = [Path(line) for line in outcome.out.splitlines()]
    assert sorted(paths) == sorted(Path("schemas").iterdir())
    for path in paths:
        text = path.read_text()
        content = json.loads(text)
        assert path.name == f"{path.name.split('_')[0]}_schema_version_{content['version']}.json"
        assert set(content) == {"schema", "version"}
        assert text.splitlines()[1].startswith("    ")


def test_the_default_folder_is_that_of_the_official_client(dap: Callable[..., Any]) -> None:
    dap(*SCHEMA, "courses")
    assert [path.name.split("_")[0] for path in Path("downloads").iterdir()] == ["courses"]


def test_an_unknown_table_does_not_stop_the_others(dap: Callable[..., Any]) -> None:
    outcome = dap(*SCHEMA, "courses,usres", "--json")
    made = json.loads(outcome.out)
    assert outcome.code == made["exit_code"] == 3
    assert [schema["table"] for schema in made["schemas"]] == ["courses"]
    assert [failure["table"] for failure in made["failed"]] == ["usres"]
    assert "users" in outcome.err


def test_if_all_tables_are_unknown_the_error_is_table_not_found(dap: Callable[..., Any]) -> None:
    assert dap(*SCHEMA, "usres").code == 30
