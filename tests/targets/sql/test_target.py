"""Targets whose file does not exist yet."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dapkit.targets.duckdb.target import duckdb_file
from dapkit.targets.sql.target import FileTarget
from dapkit.targets.sqlite.target import sqlite_file


@pytest.mark.parametrize("target", [duckdb_file, sqlite_file])
def test_only_a_missing_file_has_a_substitute(target: Callable[[Path], FileTarget], tmp_path: Path) -> None:
    file = tmp_path / "file"
    substitute = target(file).empty_substitute
    assert substitute is not None
    session = substitute.open()
    assert session.sync_states("canvas") == {}
    session.close()
    assert list(tmp_path.iterdir()) == [], "nothing was created"
    file.touch()
    assert target(file).empty_substitute is None


def test_an_inaccessible_file_is_not_missing(tmp_path: Path) -> None:
    assert duckdb_file(tmp_path / ("x" * 300)).empty_substitute is None
