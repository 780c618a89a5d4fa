"""Commands that only read a database create nothing, and know whose data it holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dapkit.client.session import Session

Dap = Callable[..., Any]


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.parametrize(
    ("words", "tables", "code"),
    [
        (("listdb",), "", 0),
        (("listdb", "--omit-not-replicated"), "", 0),
        (("dropdb",), "users", 58),
        (("dropdb", "--yes"), "all", 58),
        (("reconcile", "--no-sync"), "users", 58),
        (("reconcile", "--no-sync"), "all", 58),
        (("sync", "--dry-run"), "users", 0),
        (("sync", "--dry-run"), "use*", 0),
        (("syncdb", "--dry-run"), "users", 0),
        (("sync",), "usres*", 2),
        (("reconcile",), "usres*", 2),
    ],
)
def test_read_only_commands_create_no_file(
    db: Dap,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    words: tuple[str, ...],
    tables: str,
    code: int,
) -> None:
    folder = tmp_path / "databases"
    folder.mkdir()
    monkeypatch.setenv("DAP_CONNECTION_STRING", f"{scheme}:{folder / 'college'}")
    outcome = db(*words, "--json", tables=tables)
    assert outcome.code == code
    assert list(folder.iterdir()) == []
    if code == 58:
        assert "does not exist" in outcome.err
        assert "college" in outcome.err
    elif words[0] == "listdb":
        lines = json.loads(outcome.out)
        assert bool(lines) == (len(words) == 1)
        assert all(line["command"] == "initdb" for line in lines)
    elif code == 0:
        planned = {line["table"]: line["action"] for line in json.loads(outcome.out)}
        assert planned["users"] == ("initial-load" if words[0] == "sync" else None)


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
def test_an_existing_file_is_read(db: Dap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DAP_CONNECTION_STRING", f"{scheme}:{tmp_path / 'other'}")
    db("sync", tables="users")
    (planned,) = json.loads(db("sync", "--dry-run", "--json", tables="users").out)
    assert planned["action"] == "incremental"
    assert [line["name"] for line in json.loads(db("listdb", "--omit-not-replicated", "--json").out)] == ["users"]


@pytest.mark.parametrize("words", [("reconcile", "--no-sync"), ("sync", "--dry-run")])
def test_the_service_is_not_compared_with_a_sandboxs_database(
    loaded: Dap, monkeypatch: pytest.MonkeyPatch, file: Path, words: tuple[str, ...]
) -> None:
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Session, "sandbox", False)
        marked = loaded(*words)
    assert marked.code == 54
    assert "holds a sandbox's data" in marked.err
    assert file.read_bytes() == before


@pytest.mark.parametrize("words", [("reconcile", "--no-sync"), ("sync", "--dry-run")])
def test_a_sandbox_is_not_compared_with_the_services_database(loaded: Dap, file: Path, words: tuple[str, ...]) -> None:
    for statement in ("DELETE FROM instructure_dap.dapkit_origin", "DROP TABLE instructure_dap.dapkit_origin"):
        with duckdb.connect(str(file)) as connection:
            connection.execute(statement)
        before = file.read_bytes()
        rejected = loaded(*words)
        assert rejected.code == 54
        assert "holds the service's data" in rejected.err
        assert file.read_bytes() == before


def test_the_age_of_a_sandboxs_logs_is_not_measured_by_the_machines_clock(db: Dap, dap: Dap, file: Path) -> None:
    db("sync", namespace="canvas_logs", tables="web_logs")
    with duckdb.connect(str(file)) as connection:
        connection.execute("UPDATE instructure_dap.table_sync SET timestamp = timestamp - INTERVAL 900 DAY")
    listing = ("listdb", "--namespace", "canvas_logs", "--omit-not-replicated", "--json")
    marked = dap(*listing)
    assert (marked.code, marked.err) == (0, "")
    assert json.loads(marked.out)[0]["staleness"] is not None
    with duckdb.connect(str(file)) as connection:
        connection.execute("DELETE FROM instructure_dap.dapkit_origin")
    assert "days ago" in dap(*listing).err
