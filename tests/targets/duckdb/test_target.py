"""What is DuckDB's own: errors that tell no values, keys that the merge keeps unique, indexes of the user's own."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.contract.database_fixture import Place
from tests.contract.table_fixture import Scene
from tests.contract.test_duckdb import CAPABILITIES
from tests.support.table_schemas import INT32, INT64, TEXT, table_of

from dapkit.errors import BadValueError, IncompatibleLayoutError, TargetUnreachableError
from dapkit.targets.duckdb.target import DuckDbTarget

TABLE = table_of({"size": INT32, "name": TEXT | {"title": "What it's called", "default": "none"}}, required=["name"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(Place(DuckDbTarget(tmp_path / "test.duckdb"), CAPABILITIES), tmp_path)
    yield scene
    scene.session.close()


def test_an_error_names_the_column_and_not_the_value(scene: Scene) -> None:
    with pytest.raises(BadValueError) as caught:
        scene.initialise(TABLE, [{"id": 1, "size": "precious", "name": "x"}])
    assert "size" in str(caught.value)
    assert "precious" not in str(caught.value)


def test_keys_stay_unique_without_an_index(scene: Scene) -> None:
    row = {"id": 1, "size": 1, "name": "x"}
    scene.initialise(TABLE, [row, row])
    scene.change(TABLE, [row, row])
    scene.replace(TABLE, [row, row])
    scene.holds(TABLE, [row])
    assert scene.place.ask("SELECT count(*) FROM duckdb_indexes()") == [(0,)]


def test_an_indexed_table_keeps_its_constraints_when_it_is_altered(scene: Scene) -> None:
    scene.initialise(TABLE, [{"id": 1, "size": 1, "name": "x"}])
    scene.place.execute('CREATE INDEX "by size" ON canvas.things (size, id)')
    nodes = {"size": INT64, "name": TEXT | {"title": "What it's called", "default": "none"}}
    scene.change(table_of(nodes, required=["name"], version=2), [{"id": 2, "size": 2**40, "name": "y"}])
    assert scene.place.ask("SELECT index_name FROM duckdb_indexes()") == [("by size",)]
    sql = "SELECT column_name, is_nullable, column_default, comment FROM duckdb_columns() WHERE table_name = 'things'"
    columns = {name: (nullable, default, comment) for name, nullable, default, comment in scene.place.ask(sql)}
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
def test_only_a_table_that_is_as_a_load_makes_it_is_repaired(scene: Scene, definition: str, ours: bool) -> None:
    scene.place.execute(
        f"CREATE TABLE canvas.things ({definition})",
        *["INSERT INTO canvas.things (id, size, name) VALUES (7, 1, 'mine')"] * (2 if ours else 1),
    )
    row = {"id": 7, "size": 2, "name": "n"}
    load = scene.load(TABLE, scene.parts(TABLE, [row], action=False))
    if ours:
        scene.session.repair(load)
        scene.holds(TABLE, [row])
        return
    with pytest.raises(IncompatibleLayoutError):
        scene.session.repair(load)
    assert scene.place.ask("SELECT id, size, name FROM canvas.things") == [(7, 1, "mine")]


def test_no_temporary_table_is_left(scene: Scene) -> None:
    row = {"id": 1, "size": 1, "name": "x"}
    scene.initialise(TABLE, [row, row])
    scene.change(TABLE, [row, row])
    assert scene.session.query("SELECT table_name FROM duckdb_tables() WHERE temporary") == []


def test_what_is_no_duckdb_file(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("certainly no database " * 1000)
    for path in (file, tmp_path / "missing" / "file"):
        with pytest.raises(TargetUnreachableError):
            DuckDbTarget(path).open()


def test_a_file_that_another_program_has_open(tmp_path: Path) -> None:
    path = tmp_path / "open.duckdb"
    with duckdb.connect(str(path)), pytest.raises(TargetUnreachableError):
        DuckDbTarget(path).open()  # with other settings than ours, which stands for another process
