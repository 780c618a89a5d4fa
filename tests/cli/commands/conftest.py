"""Fixtures of the commands for databases."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dapkit.cli.main import main

Dap = Callable[..., Any]


def set_surroundings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let commands use a small sandbox and a DuckDB file in this folder."""
    for name, value in {
        "DAP_SANDBOX_HOME": str(folder / "home"),
        "DAP_SANDBOX_SCALE": "0.05",
        "DAP_SANDBOX_JOB_SECONDS": "0",
        "DAP_STAGE": str(folder / "stage"),
        "DAP_CONNECTION_STRING": f"duckdb:{folder / 'college.duckdb'}",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The database of this test."""
    return tmp_path / "college.duckdb"


@pytest.fixture
def db(dap: Dap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dap:
    """Run a command of the sandbox with the database of this test."""
    set_surroundings(monkeypatch, tmp_path)

    def run(*words: str, tables: str = "users,courses", namespace: str = "canvas") -> Any:
        wants = [] if words[0] == "listdb" else ["--table", tables]
        return dap("--sandbox", words[0], "--namespace", namespace, *wants, *words[1:])

    return run


@pytest.fixture(scope="session")
def loaded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database into which users and courses were loaded, and the sandbox's clock."""
    folder = tmp_path_factory.mktemp("loaded")
    with pytest.MonkeyPatch.context() as patch:
        set_surroundings(patch, folder)
        assert main(["--sandbox", "sync", "--namespace", "canvas", "--table", "users,courses", "--quiet"]) == 0
    return folder


@pytest.fixture
def loaded(db: Dap, loaded_folder: Path, tmp_path: Path) -> Dap:
    """As `db`, with a database into which users and courses were loaded: a copy, so that it is loaded only once."""
    shutil.copytree(loaded_folder, tmp_path, dirs_exist_ok=True)
    return db
