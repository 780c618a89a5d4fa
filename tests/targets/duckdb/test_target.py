"""Specific to DuckDB: errors without values, keys that the merge keeps unique, user-created indexes."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.table_fixture import SqlTableFixture
from tests.contract.test_duckdb import SUPPORT
from tests.support.table_schemas import INT32, INT64, TEXT, table_of

from dapkit.errors import BadValueError, IncompatibleLayoutError, TargetDiskFullError, TargetUnreachableError
from dapkit.targets.duckdb.driver import _translated
from dapkit.targets.duckdb.target import duckdb_file

TABLE = table_of({"size": INT32, "name": TEXT | {"title": "What it's called", "default": "none"}}, required=["name"])


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[SqlTableFixture]:
    fixture = SqlTableFixture(DatabaseFixture(duckdb_file(tmp_path / "test.duckdb"), SUPPORT), tmp_path)
    yield fixture
    fixture.session.close()


def test_an_error_names_column_key_and_value(fixture: SqlTableFixture) -> None:
    with pytest.raises(BadValueError, match=r"size has the value 'many' \(id 7\)"):
        fixture.initial_load(TABLE, [{"id": 7, "size": "many", "name": "x"}])


def test_keys_stay_unique_without_an_index(fixture: SqlTableFixture) -> None:
    row = {"id": 1, "size": 1, "name": "x"}
    fixture.initial_load(TABLE, [row, row])
    fixture.apply_increment(TABLE, [row, row])
    fixture.full_refresh(TABLE, [row, row])
    fixture.assert_holds(TABLE, [row])
    assert fixture.database.query("SELECT count(*) FROM duckdb_indexes()") == [(0,)]


def test_an_indexed_table_keeps_its_constraints_when_it_is_altered(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, [{"id": 1, "size": 1, "name": "x"}])
    fixture.database.execute('CREATE INDEX "by size" ON canvas.things (size, id)')
    nodes = {"size": INT64, "name": TEXT | {"title": "What it's called", "default": "none"}}
    fixture.apply_increment(table_of(nodes, required=["name"], version=2), [{"id": 2, "size": 2**40, "name": "y"}])
    assert fixture.database.query("SELECT index_name FROM duckdb_indexes()") == [("by size",)]
    sql = "SELECT column_name, is_nullable, column_default, comment FROM duckdb_columns() WHERE table_name = 'things'"
    columns = {name: (nullable, default, comment) for name, nullable, default, comment in fixture.database.query(sql)}
    assert columns == {
        "id": (False, None, None),
        "size": (True, None, None),
        "name": (False, "'none'", "What it's called"),
    }


COLUMNS = "id BIGINT NOT NULL, size INTEGER, name VARCHAR DEFAULT 'none' NOT NULL"


@pytest.mark.parametrize(
    ("definition", "ours"),
    [
        (COLUMNS, True),
        ("name VARCHAR DEFAULT 'none' NOT NULL, size INTEGER, id BIGINT NOT NULL", True),
        (f"{COLUMNS}, PRIMARY KEY (id)", False),
        (f"{COLUMNS}, UNIQUE (size)", False),
        (f"{COLUMNS}, CHECK (size > 0)", False),
        (f"{COLUMNS}, more BIGINT AS (id + 1)", False),
    ],
)
def test_only_a_table_with_the_layout_of_a_load_is_repaired(
    fixture: SqlTableFixture, definition: str, ours: bool
) -> None:
    fixture.database.execute(
        f"CREATE TABLE canvas.things ({definition})",
        *["INSERT INTO canvas.things (id, size, name) VALUES (7, 1, 'mine')"] * (2 if ours else 1),
    )
    row = {"id": 7, "size": 2, "name": "n"}
    load = fixture.load(TABLE, fixture.files(TABLE, [row], action=False))
    if ours:
        fixture.session.repair(load)
        fixture.assert_holds(TABLE, [row])
        return
    with pytest.raises(IncompatibleLayoutError):
        fixture.session.repair(load)
    assert fixture.database.query("SELECT id, size, name FROM canvas.things") == [(7, 1, "mine")]


def test_no_temporary_table_is_left(fixture: SqlTableFixture) -> None:
    row = {"id": 1, "size": 1, "name": "x"}
    fixture.initial_load(TABLE, [row, row])
    fixture.apply_increment(TABLE, [row, row])
    assert fixture.driver.query("SELECT table_name FROM duckdb_tables() WHERE temporary") == []


def test_a_file_that_is_not_a_duckdb_database(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("certainly no database " * 1000)
    for path in (file, tmp_path / "missing" / "file"):
        with pytest.raises(TargetUnreachableError):
            duckdb_file(path).open()


def test_a_file_that_another_program_has_open(tmp_path: Path) -> None:
    path = tmp_path / "open.duckdb"
    with duckdb.connect(str(path)), pytest.raises(TargetUnreachableError):
        duckdb_file(path).open()  # the file is open with other settings, as in another process


def test_a_full_disk_is_reported_as_such() -> None:
    error = _translated(duckdb.IOException('IO Error: Could not write file "x": No space left on device'))
    assert isinstance(error, TargetDiskFullError)
    assert "Free some space" in error.hint
