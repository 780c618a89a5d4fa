"""What is SQLite's own: a file, one writer, what its tools read."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from tests.contract.table_fixture import Scene
from tests.contract.test_sqlite import CAPABILITIES, SqlitePlace
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import IncompatibleLayoutError, IntegrityError, TargetBusyError, TargetUnreachableError
from dapkit.targets.sqlite import target as module
from dapkit.targets.sqlite.target import SqliteTarget

MOMENT = {"type": "string", "format": "date-time"}
TABLE = table_of({"made": MOMENT, "on": {"type": "boolean"}, "name": TEXT})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test.sqlite"


@pytest.fixture
def scene(file: Path, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(SqlitePlace(SqliteTarget(file), CAPABILITIES), tmp_path)
    yield scene
    scene.session.close()


def test_its_own_functions_read_and_sort_what_it_holds(scene: Scene, file: Path) -> None:
    moments = [datetime(2024, 3, 1, 12), datetime(2024, 3, 1, 12, 0, 0, 5), datetime(2024, 3, 1, 12, 0, 0, 250_000)]
    scene.initialise(TABLE, [{"id": number, "made": made, "on": True} for number, made in enumerate(moments)])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT id FROM canvas__things ORDER BY made").fetchall() == [(0,), (1,), (2,)]
        sql = "SELECT count(*) FROM canvas__things WHERE made = datetime('2024-03-01 12:00:00') AND \"on\""
        assert connection.execute(sql).fetchone() == (1,)
        assert connection.execute("SELECT strftime('%Y/%m/%d', made) FROM canvas__things").fetchone() == ("2024/03/01",)


def test_the_journal_stays_as_the_file_has_it(scene: Scene, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    scene.reopen()
    scene.initialise(TABLE, [{"id": 1}])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_somebody_else_who_writes_for_long(scene: Scene, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.initialise(TABLE, [{"id": 1}])
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    scene.reopen()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TargetBusyError, match="in use"):
            scene.change(TABLE, [{"id": 2}])
        other.execute("ROLLBACK")
    scene.change(TABLE, [{"id": 2}])
    scene.holds(TABLE, [{"id": 1}, {"id": 2}])


def test_a_writer_is_waited_for(scene: Scene, file: Path) -> None:
    scene.initialise(TABLE, [{"id": 1}])
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    timer.start()
    scene.change(TABLE, [{"id": 2}])
    timer.join()
    other.close()
    scene.holds(TABLE, [{"id": 1}, {"id": 2}])


def test_a_trigger_of_the_users_own_survives_a_table_made_anew(scene: Scene) -> None:
    scene.initialise(TABLE, [{"id": 1, "name": "a"}])
    scene.place.execute(
        "CREATE TABLE log (id INTEGER)",
        "CREATE TRIGGER note AFTER INSERT ON canvas__things BEGIN INSERT INTO log VALUES (new.id); END",
    )
    narrower = table_of({"made": MOMENT, "on": {"type": "integer"}, "name": TEXT}, version=2)
    scene.replace(narrower, [{"id": 1, "on": 5}])
    scene.place.execute("DELETE FROM log")
    scene.change(narrower, [{"id": 2}])
    assert scene.place.ask("SELECT id FROM log") == [(2,)]


def test_a_size_is_told_with_the_rows_only(scene: Scene) -> None:
    scene.initialise(TABLE, [{"id": 1}])
    counted, quick = (scene.session.listing("canvas", count=count)[0] for count in (True, False))
    assert counted.bytes in (None, 4096), "None where SQLite was built without dbstat"
    assert quick.bytes is None


COLUMNS = '"id" INTEGER NOT NULL, "made" TEXT, "on" BOOLEAN, "name" TEXT'


@pytest.mark.parametrize(
    ("definition", "ours"),
    [
        (f'({COLUMNS}, PRIMARY KEY ("id"))', True),
        ("(id integer PRIMARY KEY NOT NULL, name text, made text, [on] boolean)", True),
        (f"({COLUMNS})", False),
        (f'({COLUMNS}, PRIMARY KEY ("id", "name"))', False),
        (f'({COLUMNS} UNIQUE, PRIMARY KEY ("id"))', False),
        (f"({COLUMNS} CHECK (name <> ''), PRIMARY KEY (\"id\"))", False),
        (f'({COLUMNS} COLLATE NOCASE, PRIMARY KEY ("id"))', False),
        (f'({COLUMNS} REFERENCES others (id), PRIMARY KEY ("id"))', False),
        (f'({COLUMNS}, more AS (id + 1), PRIMARY KEY ("id"))', False),
        (f'({COLUMNS}, PRIMARY KEY ("id")) WITHOUT ROWID', False),
    ],
)
def test_only_a_table_that_is_as_a_load_makes_it_is_repaired(scene: Scene, definition: str, ours: bool) -> None:
    scene.place.execute(
        f"CREATE TABLE canvas__things {definition}", "INSERT INTO canvas__things (id, name) VALUES (7, 'mine')"
    )
    load = scene.load(TABLE, scene.parts(TABLE, [{"id": 1}], action=False))
    if ours:
        scene.session.repair(load)
        scene.holds(TABLE, [{"id": 1}])
        return
    with pytest.raises(IncompatibleLayoutError):
        scene.session.repair(load)
    assert scene.place.ask("SELECT id, name FROM canvas__things") == [(7, "mine")]


def test_what_is_no_sqlite_file(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("certainly no database " * 100)
    for path in (file, tmp_path, tmp_path / "missing" / "file"):
        with pytest.raises(TargetUnreachableError):
            SqliteTarget(path).open()


@pytest.mark.parametrize("lengths", [(3_000_000, 1), (1, 3_000_000), (9_000_000, 1), (1, 9_000_000), (20_000_000,)])
def test_rows_longer_than_the_first_room_are_loaded_once(scene: Scene, lengths: tuple[int, ...]) -> None:
    rows = [{"id": number, "name": "x" * length} for number, length in enumerate(lengths)]
    assert scene.initialise(TABLE, rows).written == len(rows)
    sql = "SELECT length(name) FROM canvas__things ORDER BY id"
    assert scene.place.ask(sql) == [(length,) for length in lengths]


def test_a_row_longer_than_there_is_room_for_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_SIZES", (1 << 20, 2 << 20))
    for length in (3_000_000, 9_000_000):
        with pytest.raises(IntegrityError):
            scene.initialise(TABLE, [{"id": 1, "name": "x" * length}])
    assert scene.place.ask("SELECT name FROM sqlite_master WHERE name = 'canvas__things'") == []
