"""Specific to SQLite: a file, one writer at a time, values that its tools can read."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from tests.contract.table_fixture import SqlTableFixture
from tests.contract.test_sqlite import SUPPORT, SqliteFixture
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import (
    IncompatibleLayoutError,
    IntegrityError,
    TargetBusyError,
    TargetDiskFullError,
    TargetUnreachableError,
    UsageError,
)
from dapkit.targets.sqlite import driver as module
from dapkit.targets.sqlite.target import sqlite_file, target_of

MOMENT = {"type": "string", "format": "date-time"}
TABLE = table_of({"made": MOMENT, "on": {"type": "boolean"}, "name": TEXT})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test.sqlite"


@pytest.fixture
def fixture(file: Path, tmp_path: Path) -> Iterator[SqlTableFixture]:
    fixture = SqlTableFixture(SqliteFixture(sqlite_file(file), SUPPORT), tmp_path)
    yield fixture
    fixture.session.close()


def test_the_functions_of_sqlite_read_and_sort_stored_values(fixture: SqlTableFixture, file: Path) -> None:
    moments = [datetime(2024, 3, 1, 12), datetime(2024, 3, 1, 12, 0, 0, 5), datetime(2024, 3, 1, 12, 0, 0, 250_000)]
    fixture.initial_load(TABLE, [{"id": number, "made": made, "on": True} for number, made in enumerate(moments)])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT id FROM canvas__things ORDER BY made").fetchall() == [(0,), (1,), (2,)]
        sql = "SELECT count(*) FROM canvas__things WHERE made = datetime('2024-03-01 12:00:00') AND \"on\""
        assert connection.execute(sql).fetchone() == (1,)
        assert connection.execute("SELECT strftime('%Y/%m/%d', made) FROM canvas__things").fetchone() == ("2024/03/01",)


def test_the_journal_mode_is_not_changed(fixture: SqlTableFixture, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    fixture.reopen()
    fixture.initial_load(TABLE, [{"id": 1}])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_long_write_by_another_process_is_reported_as_busy(
    fixture: SqlTableFixture, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.initial_load(TABLE, [{"id": 1}])
    monkeypatch.setattr(module, "_BUSY_TIMEOUT", 0.05)
    fixture.reopen()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TargetBusyError, match="in use"):
            fixture.apply_increment(TABLE, [{"id": 2}])
        other.execute("ROLLBACK")
    fixture.apply_increment(TABLE, [{"id": 2}])
    fixture.assert_holds(TABLE, [{"id": 1}, {"id": 2}])


def test_a_writer_is_waited_for(fixture: SqlTableFixture, file: Path) -> None:
    fixture.initial_load(TABLE, [{"id": 1}])
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    timer.start()
    fixture.apply_increment(TABLE, [{"id": 2}])
    timer.join()
    other.close()
    fixture.assert_holds(TABLE, [{"id": 1}, {"id": 2}])


def test_a_user_created_trigger_survives_a_rebuild(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, [{"id": 1, "name": "a"}])
    fixture.database.execute(
        "CREATE TABLE log (id INTEGER)",
        "CREATE TRIGGER note AFTER INSERT ON canvas__things BEGIN INSERT INTO log VALUES (new.id); END",
    )
    narrower = table_of({"made": MOMENT, "on": {"type": "integer"}, "name": TEXT}, version=2)
    fixture.full_refresh(narrower, [{"id": 1, "on": 5}])
    fixture.database.execute("DELETE FROM log")
    fixture.apply_increment(narrower, [{"id": 2}])
    assert fixture.database.query("SELECT id FROM log") == [(2,)]


def test_the_size_is_listed_only_with_the_row_count(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, [{"id": 1}])
    counted, quick = (fixture.session.list_tables("canvas", count=count)[0] for count in (True, False))
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
def test_only_a_table_with_the_layout_of_a_load_is_repaired(
    fixture: SqlTableFixture, definition: str, ours: bool
) -> None:
    fixture.database.execute(
        f"CREATE TABLE canvas__things {definition}", "INSERT INTO canvas__things (id, name) VALUES (7, 'mine')"
    )
    load = fixture.load(TABLE, fixture.files(TABLE, [{"id": 1}], action=False))
    if ours:
        fixture.session.repair(load)
        fixture.assert_holds(TABLE, [{"id": 1}])
        return
    with pytest.raises(IncompatibleLayoutError):
        fixture.session.repair(load)
    assert fixture.database.query("SELECT id, name FROM canvas__things") == [(7, "mine")]


def test_a_file_of_another_format(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("certainly no database " * 100)
    for path in (file, tmp_path, tmp_path / "missing" / "file"):
        with pytest.raises(TargetUnreachableError):
            sqlite_file(path).open()


@pytest.mark.parametrize("lengths", [(3_000_000, 1), (1, 3_000_000), (9_000_000, 1), (1, 9_000_000), (20_000_000,)])
def test_rows_longer_than_the_first_buffer_are_loaded_once(fixture: SqlTableFixture, lengths: tuple[int, ...]) -> None:
    rows = [{"id": number, "name": "x" * length} for number, length in enumerate(lengths)]
    assert fixture.initial_load(TABLE, rows).written == len(rows)
    sql = "SELECT length(name) FROM canvas__things ORDER BY id"
    assert fixture.database.query(sql) == [(length,) for length in lengths]


def test_a_row_longer_than_the_largest_buffer_is_rejected(
    fixture: SqlTableFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_SIZES", (1 << 20, 2 << 20))
    for length in (3_000_000, 9_000_000):
        with pytest.raises(IntegrityError):
            fixture.initial_load(TABLE, [{"id": 1, "name": "x" * length}])
    assert fixture.database.query("SELECT name FROM sqlite_master WHERE name = 'canvas__things'") == []


def test_a_full_disk_is_reported_as_such(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, [{"id": 1}])
    fixture.driver.query("PRAGMA max_page_count = 40")  # SQLite reports this as it reports a full disk
    with pytest.raises(TargetDiskFullError) as caught:
        fixture.apply_increment(TABLE, [{"id": number, "name": "x" * 1000} for number in range(2, 500)])
    assert "Free some space" in caught.value.hint
    fixture.reopen()
    fixture.assert_rows(TABLE, [{"id": 1}])


def test_a_file_that_another_process_has_locked_is_busy(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_TIMEOUT", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE mine (id)")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TargetBusyError, match="in use"):
            sqlite_file(file).open()


def test_addresses_of_files() -> None:
    assert target_of("sqlite:~/a.sqlite").path == Path("~/a.sqlite").expanduser()
    assert target_of("sqlite:/data/a.sqlite").path == Path("/data/a.sqlite")
    with pytest.raises(UsageError, match="not clear") as caught:
        target_of("sqlite:///a.sqlite")
    assert "sqlite:a.sqlite for a file in the current folder" in caught.value.hint


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetUnreachableError, match="does not exist") as caught:
        sqlite_file(tmp_path / "missing" / "a.sqlite").open()
    assert "Create the folder" in caught.value.hint
