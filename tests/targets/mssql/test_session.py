"""What a session says to the driver, and in which order. Whether a server agrees is for the contract to show."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.mssql_driver import Driver, refusal
from tests.support.table_schemas import INT32, TEXT, Node, table_of
from tests.support.tsv_parts import Layout, Row, deleted, write_parts

from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    IncompatibleLayoutError,
    IntegrityError,
    SchemaChangeNotSupportedError,
    TargetError,
)
from dapkit.model import Table
from dapkit.targets.base import BadValues, DataFiles, ExpectedTable, Load, LoadOptions, SyncState, TableStatus
from dapkit.targets.mssql.connection import MsSqlConnection
from dapkit.targets.mssql.driver import MsSqlDriver
from dapkit.targets.sql.session import SqlTargetSession

OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
TABLE = table_of({"name": TEXT, "size": INT32})
MARK = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
BEFORE = SyncState(namespace="canvas", table="things", watermark=MARK, schema=TABLE.schema)
UTF8: dict[str, Any] = {"DATABASEPROPERTYEX": [(51, 65001, 65001)]}
HELD = {r"SELECT @held": [(0,)], r"^SELECT \"timestamp\" FROM": [(MARK.replace(tzinfo=None),)]}
LINE = {r"^SELECT id FROM .*table_sync": [(3,)]}
COLUMNS = [
    ("id", "bigint", 8, 19, 0, False, None, None, None, False, None, None),
    ("name", "varchar", -1, 0, 0, True, None, None, 65001, False, None, "Latin1_General_100_CI_AS_SC_UTF8"),
    ("size", "int", 4, 10, 0, True, None, None, None, False, None, None),
]
INDEXES = [("pk_canvas_things", True, True, False, 1, None, "id", False, False)]
STANDS: dict[str, Any] = {r"FROM sys\.columns AS c": COLUMNS, r"FROM sys\.indexes": INDEXES}
A, B = {"id": 1, "name": "a", "size": 1}, {"id": 2, "name": "é", "size": None}


def driver(rows: int = 0, /, **answers: Any) -> Driver:
    counted = {r"count_big\(\*\) FROM .*(staging|newest)": [(rows,)]}
    return Driver(answers=UTF8 | HELD | LINE | counted | answers, counts={r"^(INSERT|UPDATE|DELETE)": 1})


def session(on: Driver) -> SqlTargetSession:
    made = SqlTargetSession(MsSqlDriver(MsSqlConnection(on)))
    on.said.clear()
    on.values.clear()
    return made


def load(
    folder: Path,
    rows: Sequence[Row | dict[str, Any]],
    *,
    action: bool,
    table: Table = TABLE,
    options: LoadOptions = LoadOptions(),  # noqa: B008, frozen
) -> Load:
    full = [row if isinstance(row, Row) else Row(row) for row in rows]
    parts = write_parts(folder, table, full, Layout(action=action))
    return Load(table=table, parts=parts, watermark=MARK + timedelta(hours=1), options=options)


def changes(batches: Sequence[str]) -> list[str]:
    """Return the first words of the batches that change something."""
    words = [batch.split()[0] for batch in batches]
    return [word for word in words if word != "SELECT"]


def staging(on: Driver) -> str:
    """Return the name of the only table of arriving rows, without quotes."""
    (copied,) = on.copied
    assert re.fullmatch(r"instructure_dap\.dapkit_staging_[0-9a-f]{32}", copied.table)
    return copied.table.partition(".")[2]


def test_a_session_speaks_english_and_undoes_everything_at_an_error() -> None:
    on = driver()
    made = MsSqlDriver(MsSqlConnection(on))
    for setting in ("LANGUAGE us_english", "XACT_ABORT ON", "QUOTED_IDENTIFIER ON", "ANSI_NULLS ON"):
        assert f"SET {setting}" in on.said[0]
    assert made.dialect.exact == "Latin1_General_100_BIN2_UTF8"
    made.close()
    assert on.closed


def test_an_older_server_without_utf8() -> None:
    made = MsSqlDriver(MsSqlConnection(driver(DATABASEPROPERTYEX=[(51, 1252, None)])))
    assert made.dialect.exact == "Latin1_General_100_BIN2"


# Initial loads


def test_an_initial_load_brings_rows_first_and_does_the_rest_in_one_transaction(tmp_path: Path) -> None:
    on = driver(2)
    counts = session(on).initial_load(load(tmp_path, [A, B], action=False))
    assert (counts.written, counts.deleted, dict(counts.repaired)) == (1, 0, {})
    (copied,) = on.copied
    moment = datetime(2024, 3, 1, 12)
    assert copied.rows == [(moment, None, 1, "a", 1), (moment, None, 2, "é", None)]
    assert copied.options == {"batch_size": 50_000, "timeout": 0, "table_lock": True, "keep_nulls": True}
    assert not copied.within, "its own connection would wait for ours for ever"
    bare = staging(on)
    assert [batch.split(" (")[0] for batch in on.within() if not batch.lstrip().startswith("SELECT")] == [
        'CREATE TABLE "canvas"."things"',
        'INSERT INTO "canvas"."things" WITH',
        'ALTER TABLE "canvas"."things" ADD CONSTRAINT "pk_canvas_things" PRIMARY KEY',
        'DELETE FROM "instructure_dap"."table_sync" WHERE id IN',
        'INSERT INTO "instructure_dap"."table_sync"',
        'INSERT INTO "instructure_dap"."dapkit_history"',
    ]
    before, after = on.said[: on.said.index("BEGIN TRANSACTION")], on.said[on.said.index("COMMIT TRANSACTION") :]
    lock = next(place for place, batch in enumerate(before) if "sp_getapplock" in batch and bare in batch)
    create = next(place for place, batch in enumerate(before) if batch.startswith("CREATE TABLE"))
    assert lock < create < before.index(f"COPY instructure_dap.{bare}")
    assert f'DROP TABLE IF EXISTS "instructure_dap"."{bare}"' in after
    assert "sp_releaseapplock" in after[-2] or "sp_releaseapplock" in after[-1]


def test_the_line_in_the_books(tmp_path: Path) -> None:
    on = driver(1)
    session(on).initial_load(load(tmp_path, [A], action=False))
    place = next(place for place, batch in enumerate(on.said) if 'INTO "instructure_dap"."table_sync"' in batch)
    *line, description = on.values[place]
    assert line == ["canvas", "things", datetime(2024, 3, 1, 13, 0, 0, 123456), 1, "canvas", "things", "json"]
    assert description.isascii(), "no code page loses any of it"
    assert '"meta"' not in description


def test_rows_that_are_fewer_than_counted_never_begin_a_transaction(tmp_path: Path) -> None:
    on = driver(1)
    with pytest.raises(IntegrityError, match="hold 2 rows, but 1 arrived"):
        session(on).initial_load(load(tmp_path, [A, B], action=False))
    assert not on.batches("BEGIN TRANSACTION")
    assert on.batches("DROP TABLE IF EXISTS .*" + staging(on))


def test_what_a_file_says_wrongly_is_heard_as_it_was_said(tmp_path: Path) -> None:
    on = driver(1)
    wrong = load(tmp_path, [A | {"size": "many"}], action=False)
    with pytest.raises(BadValueError, match="column size is not of its type"):
        session(on).initial_load(wrong)
    assert not on.batches("BEGIN TRANSACTION")
    assert on.batches(r"DROP TABLE IF EXISTS .*dapkit_staging")


def test_no_files_at_all() -> None:
    on = driver(0)
    nothing = Load(table=TABLE, parts=DataFiles(paths=(), rows=0), watermark=MARK)
    session(on).initial_load(nothing)
    assert not on.copied
    assert on.said.count("COMMIT TRANSACTION") == 1


@pytest.mark.parametrize(
    "step", ["CREATE TABLE .canvas", "INSERT INTO .canvas", "PRIMARY KEY", "table_sync", "^COMMIT"]
)
def test_a_refusal_at_any_step_undoes_the_transaction(tmp_path: Path, step: str) -> None:
    on = driver(1, **{step: refusal("42000", "No.")})
    with pytest.raises(TargetError, match=r"SQL Server says: No\."):
        session(on).initial_load(load(tmp_path, [A], action=False))
    rolled = on.said.index("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    assert on.batches(r"DROP TABLE IF EXISTS .*dapkit_staging")
    assert rolled < next(place for place, batch in enumerate(on.said) if "sp_releaseapplock" in batch)


def test_of_two_that_initialise_the_same_table_the_second_hears_of_the_first(tmp_path: Path) -> None:
    said = refusal("42S01", "There is already an object named 'things' in the database.")
    on = driver(1, **{"^CREATE TABLE .canvas": said})
    with pytest.raises(ConcurrentUpdateError):
        session(on).initial_load(load(tmp_path, [A], action=False))


def test_a_table_that_is_there_already_is_not_initialised(tmp_path: Path) -> None:
    there = {r"FROM sys\.objects": [("U ",)]}
    unmanaged = there | {"^SELECT id FROM": []}
    for answers, error in ((unmanaged, IncompatibleLayoutError), (there, ConcurrentUpdateError)):
        on = driver(1, **answers)
        with pytest.raises(error):
            session(on).initial_load(load(tmp_path, [A], action=False))
        assert not on.copied


# Increments and snapshots


def test_an_increment_holds_its_line_before_it_changes_anything(tmp_path: Path) -> None:
    on = driver(2, **STANDS)
    counts = session(on).apply_increment(load(tmp_path, [A, deleted(id=2)], action=True), BEFORE)
    assert (counts.written, counts.deleted) == (2, 1)
    within = on.within()
    assert within[0].startswith('SELECT id FROM "instructure_dap"."table_sync"')
    assert "WITH (UPDLOCK, HOLDLOCK, ROWLOCK) WHERE id IN (3)" in within[1]
    rows, state, history = ["DELETE", "UPDATE", "INSERT"], ["UPDATE"], ["INSERT"]
    assert changes(within) == [*rows, *state, *history]
    assert [row[1] for row in on.copied[0].rows] == ["U", "D"]
    assert not on.copied[0].within


@pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
def test_a_table_that_moved_on_is_not_even_looked_into(tmp_path: Path, action: str) -> None:
    on = driver(1, **STANDS)
    stale = replace(BEFORE, watermark=MARK - timedelta(hours=1))
    with pytest.raises(ConcurrentUpdateError):
        getattr(session(on), action)(load(tmp_path, [A], action=action == "apply_increment"), stale)
    assert not on.copied
    assert not on.batches("BEGIN TRANSACTION")


@pytest.mark.parametrize("gone", [[], [(3,)]])
def test_a_table_that_moved_on_while_rows_came(tmp_path: Path, gone: list[tuple[int]]) -> None:
    mark = MARK.replace(tzinfo=None)
    marks = iter([[(mark,)], [(mark,)], [(mark.replace(year=2025),)] if gone else []])
    on = driver(1, **STANDS, **{r"^SELECT \"timestamp\" FROM": lambda: next(marks)})
    with pytest.raises(ConcurrentUpdateError):
        session(on).apply_increment(load(tmp_path, [A], action=True), BEFORE)
    assert "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION" in on.said
    assert not on.batches(r"^(INSERT|UPDATE|DELETE) ")


def test_a_snapshot_is_merged(tmp_path: Path) -> None:
    on = driver(2, **STANDS)
    counts = session(on).full_refresh(load(tmp_path, [A, B], action=False), BEFORE)
    assert (counts.written, counts.deleted) == (2, 1)
    assert changes(on.within()) == ["DELETE", "UPDATE", "INSERT", "UPDATE", "INSERT"]
    logs = load(tmp_path, [A, B], action=False, options=LoadOptions(keep_missing=True))
    on = driver(2, **STANDS)
    session(on).full_refresh(logs, BEFORE)
    assert not on.batches("^DELETE")


def test_a_snapshot_of_another_schema_empties_and_refills(tmp_path: Path) -> None:
    on = driver(1, **STANDS)
    other = table_of({"name": INT32, "size": INT32}, version=2)
    session(on).full_refresh(load(tmp_path, [{"id": 1, "name": 5}], action=False, table=other), BEFORE)
    within = on.within()
    assert any(batch.startswith("TRUNCATE TABLE") for batch in within)
    assert [batch for batch in within if "PRIMARY KEY" in batch][-1].startswith("ALTER TABLE")
    logs = load(tmp_path, [A], action=False, table=other, options=LoadOptions(keep_missing=True))
    on = driver(1, **STANDS)
    with pytest.raises(SchemaChangeNotSupportedError):
        session(on).full_refresh(logs, BEFORE)
    assert not on.copied, "that is known before rows are read"


def test_the_newest_of_repeated_keys(tmp_path: Path) -> None:
    on = driver(2, **STANDS, **{"HAVING count": [(1,)]})
    session(on).apply_increment(load(tmp_path, [A, A], action=True), BEFORE)
    within = on.within()
    assert 'DROP TABLE IF EXISTS "#dapkit_newest"' in within
    assert any(batch.startswith('SELECT * INTO "#dapkit_newest" FROM') for batch in within)
    assert any(batch.startswith("DELETE") and '"#dapkit_newest"' in batch for batch in within)
    assert within.count('DROP TABLE IF EXISTS "#dapkit_newest"') == 2, "nothing of it stays"


def test_new_values_of_enums_come_before_the_rows(tmp_path: Path) -> None:
    table = table_of({"open": OPEN})
    value = ("value", "varchar", 256, 0, 0, False, None, None, 65001, False, None)
    number = ("id", "int", 4, 10, 0, False, None, None, None, True, None, None)
    on = driver(1, **{r"FROM sys\.columns AS c": [number, (*value, "Latin1_General_100_BIN2_UTF8")]})
    session(on).initial_load(load(tmp_path, [{"id": 1, "open": "new"}], action=False, table=table))
    within = on.within()
    added = next(place for place, batch in enumerate(within) if 'INSERT INTO "canvas"."things__open"' in batch)
    assert added < next(place for place, batch in enumerate(within) if 'INSERT INTO "canvas"."things" ' in batch)
    assert on.copied[0].rows[0][-1] == "new"
    assert not on.batches("DROP CONSTRAINT")
    on = driver(1, **{r"FROM sys\.columns AS c": [number, (*value, "Latin1_General_CI_AS")]})
    session(on).initial_load(load(tmp_path, [{"id": 1, "open": "new"}], action=False, table=table))
    assert on.batches('"things__open" ALTER COLUMN "value" varchar.256. COLLATE Latin1_General_100_BIN2_UTF8')


# Values


def test_texts_beyond_the_code_page_of_the_database(tmp_path: Path) -> None:
    answers = {"DATABASEPROPERTYEX": [(51, 1252, 65001)]}
    on = driver(1, **answers)
    counts = session(on).initial_load(load(tmp_path, [A | {"name": "中"}], action=False))
    assert dict(counts.repaired) == {"name": 1}
    assert on.copied[0].rows[0][3] == "?"
    strict = load(tmp_path, [A | {"name": "中"}], action=False, options=LoadOptions(bad_values=BadValues.FAIL))
    on = driver(1, **answers)
    with pytest.raises(BadValueError, match="name"):
        session(on).initial_load(strict)
    assert not on.batches("BEGIN TRANSACTION")


def test_a_column_may_have_a_collation_of_its_own(tmp_path: Path) -> None:
    on = driver(1, **STANDS, DATABASEPROPERTYEX=[(51, 1252, 65001)])
    counts = session(on).apply_increment(load(tmp_path, [A | {"name": "中"}], action=True), BEFORE)
    assert not counts.repaired, "the column is of UTF-8, whatever the database's own collation"


# Books, standing, dropping


def test_the_books_are_made_and_marked_in_one_transaction() -> None:
    on = driver()
    session(on).prepare("canvas", sandbox=False)
    within = on.within()
    assert "sp_getapplock" in within[1], "after the question for books of version 0"
    number = within.index('INSERT INTO "instructure_dap"."database_version" (version) VALUES (1)')
    assert within[number - 1].endswith("ON")
    assert within[number + 1].endswith("OFF")
    assert within[-1].startswith("IF SCHEMA_ID(N'canvas') IS NULL")


def test_what_dead_sessions_left_is_dropped_and_what_others_hold_is_not(tmp_path: Path) -> None:
    names = [("dapkit_staging_dead",), ("dapkit_staging_alive",)]
    on = driver(1, **{"FROM sys.tables WHERE": names, "N'dapkit_staging_alive'.*SELECT @held": [(-1,)]})
    session(on).initial_load(load(tmp_path, [A], action=False))
    dropped = [f'DROP TABLE IF EXISTS "instructure_dap"."{name}"' for name in ("dapkit_staging_dead", staging(on))]
    assert on.batches("^DROP TABLE") == dropped
    assert len(on.batches("sp_releaseapplock")) == 2


def test_standing() -> None:
    line = ("things", MARK.replace(tzinfo=None), 1, "{}")
    booked = driver(**{r"FROM sys\.objects": [("U ",)], "SELECT source_table": [line]})
    assert session(booked).status("canvas", "things") is TableStatus.MANAGED
    assert session(booked).sync_states("canvas")["things"].watermark == MARK
    there = driver(**{r"FROM sys\.objects": [("U ",)]})
    assert session(there).status("canvas", "things") is TableStatus.UNMANAGED
    assert session(driver()).status("canvas", "things") is TableStatus.ABSENT


def test_sizes() -> None:
    line = ("things", MARK.replace(tzinfo=None), 1, json.dumps(TABLE.schema.document))
    on = driver(
        **{
            r"FROM sys\.objects": [("U ",)], r"^SELECT source_table, .timestamp": [line],
            "allocation_units": [(81920,)], r"SELECT count_big\(\*\) FROM .canvas": [(7,)],
        }
    )  # fmt: skip
    (listed,) = session(on).list_tables("canvas", count=True)
    assert (listed.rows, listed.bytes) == (7, 81920)


def test_a_dropped_table_takes_its_lookup_tables_with_it() -> None:
    on = driver(**{"SELECT l.name": [("things__open",)]})
    session(on).drop("canvas", "things")
    assert on.within() == [
        'DROP TABLE IF EXISTS "canvas"."things"',
        'DROP TABLE IF EXISTS "canvas"."things__open"',
        'SELECT id FROM "instructure_dap"."table_sync" WHERE source_namespace = ? AND source_table = ?',
        'DELETE FROM "instructure_dap"."table_sync" WHERE id IN (3)',
    ]
    assert on.values[-3] == ("canvas", "things")


# Half-loaded tables, comparing, dry runs


def test_a_half_loaded_table_is_filled_if_it_is_as_we_would_make_it(tmp_path: Path) -> None:
    scratch = [("pk_dapkit_scratch_51_things", *INDEXES[0][1:])]
    keys = iter([scratch, INDEXES, INDEXES, scratch, INDEXES])
    on = driver(1, **(STANDS | {r"FROM sys\.indexes": lambda: next(keys)}))
    session(on).repair(load(tmp_path, [A], action=False))
    last = len(on.said) - on.said[::-1].index("BEGIN TRANSACTION")
    before, within = on.said[:last], on.said[last : on.said.index("COMMIT TRANSACTION")]
    made = next(place for place, batch in enumerate(before) if 'CREATE TABLE "dapkit_scratch_51"."things"' in batch)
    assert "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION" in before[made:]
    assert {batch.split(" ")[0] for batch in within} >= {"DELETE", "UPDATE", "INSERT"}


def test_a_table_that_is_somebodys_own_is_not_touched(tmp_path: Path) -> None:
    layouts = iter([COLUMNS, COLUMNS[:-1]])
    on = driver(1, **(STANDS | {r"FROM sys\.columns AS c": lambda: next(layouts)}))
    with pytest.raises(IncompatibleLayoutError) as caught:
        session(on).repair(load(tmp_path, [A], action=False))
    assert "size" in caught.value.hint
    assert not on.copied
    assert not on.batches(r'^(INSERT|UPDATE|DELETE).*"canvas"')


def test_comparing_is_undone(tmp_path: Path) -> None:
    line = ("things", MARK.replace(tzinfo=None), 1, json.dumps(TABLE.schema.document))
    answers = {
        r"count_big\(\*\) FROM .canvas": [(9,)], r"AS found$": [(0,)],
        r"SELECT count_big\(\*\), sum\(differs_0\)": [(8, 0, 2)], r"FROM sys\.objects": [("U ",)],
        r"^SELECT source_table, .timestamp": [line],
    }  # fmt: skip
    on = driver(1, **STANDS, **answers)
    snapshot = load(tmp_path, [A], action=False)
    truth = ExpectedTable(live=BEFORE, snapshot=snapshot, changes=load(tmp_path, [B], action=True))
    found = session(on).compare(truth)
    assert (found.rows, found.compared, dict(found.differing), found.equal) == (9, 8, {"size": 2}, False)
    assert "COMMIT TRANSACTION" not in on.said
    assert on.said.count("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION") == 1
    assert len(on.copied) == 2
    assert not any(copied.within for copied in on.copied)
    assert len(on.batches("DROP TABLE IF EXISTS .*dapkit_staging")) == 2


def test_what_would_be_done_is_told_and_nothing_run() -> None:
    on = driver(**STANDS)
    made = session(on)
    assert made.schema_change_sql(TABLE, None, LoadOptions())[0].startswith('CREATE TABLE "canvas"."things"')
    wider = table_of({"name": TEXT, "size": INT32, "more": TEXT}, version=2)
    assert made.schema_change_sql(wider, BEFORE, LoadOptions()) == [
        'ALTER TABLE "canvas"."things" ADD "more" varchar(max) NULL'
    ]
    assert not on.batches("^(?!\\s*SELECT)")
