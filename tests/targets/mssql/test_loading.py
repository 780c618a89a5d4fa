"""The order of statements: rows first, then one transaction. Only the contract suite could test a real server."""

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.mssql_driver import StandInConnection, rejection
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
from dapkit.targets.mssql.driver import MsSqlDriver
from dapkit.targets.sql.session import SqlTargetSession

OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
TABLE = table_of({"name": TEXT, "size": INT32})
MARK = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
DB_MARK = MARK.replace(tzinfo=None)
BEFORE = SyncState(namespace="canvas", table="things", watermark=MARK, schema=TABLE.schema)
SETUP: dict[str, Any] = {
    "DATABASEPROPERTYEX": [(51, 65001, 65001)], "SELECT @held": [(0,)], "UPDLOCK": [(DB_MARK,)],
    "^SELECT id FROM": [(3,)],
}  # fmt: skip
COLUMNS = [
    ("id", "bigint", 8, 19, 0, False, None, None, None, False, None, None),
    ("name", "varchar", -1, 0, 0, True, None, None, 65001, False, None, "Latin1_General_100_CI_AS_SC_UTF8"),
    ("size", "int", 4, 10, 0, True, None, None, None, False, None, None),
]
INDEXES = [("pk_canvas_things", True, True, False, 1, None, "id", False, False)]
EXISTS: dict[str, Any] = {r"FROM sys\.columns AS c": COLUMNS, r"FROM sys\.indexes": INDEXES}
THERE: dict[str, Any] = {r"FROM sys\.objects": [(1,)]}
STATE: dict[str, Any] = {
    r"^SELECT source_table, .timestamp": [("things", DB_MARK, 1, json.dumps(TABLE.schema.document))]
}
A, B = {"id": 1, "name": "a", "size": 1}, {"id": 2, "name": "é", "size": None}
ROLLBACK = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"


def connection(rows: int = 0, /, **answers: Any) -> StandInConnection:
    counted = {r"count_big\(\*\) FROM .*dapkit_(staging|newest)": [(rows,)]}
    return StandInConnection(answers=SETUP | counted | answers, counts={r"^(INSERT|UPDATE|DELETE)": 1})


def session(on: StandInConnection) -> SqlTargetSession:
    made = SqlTargetSession(MsSqlDriver(cast(Any, on)))
    on.forget()
    return made


def load(
    folder: Path,
    rows: Sequence[Row | dict[str, Any]],
    *,
    action: bool = False,
    table: Table = TABLE,
    options: LoadOptions = LoadOptions(),  # noqa: B008, frozen
) -> Load:
    full = [row if isinstance(row, Row) else Row(row) for row in rows]
    parts = write_parts(folder, table, full, Layout(action=action))
    return Load(table=table, files=parts, watermark=MARK + timedelta(hours=1), options=options)


def kinds(batches: Sequence[str]) -> list[str]:
    return [batch.split()[0] for batch in batches]


# Rows


def test_rows_are_copied_before_the_transaction_into_a_locked_table(tmp_path: Path) -> None:
    on = connection(2)
    counts = session(on).initial_load(load(tmp_path, [A, B]))
    assert (counts.written, counts.deleted, dict(counts.repaired)) == (1, 0, {})
    (copy,) = on.copies
    moment = datetime(2024, 3, 1, 12)
    assert copy.rows == [(moment, None, 1, "a", 1), (moment, None, 2, "é", None)]
    assert copy.options == {"batch_size": 50_000, "timeout": 0, "table_lock": True, "keep_nulls": True}
    assert not copy.within, "its own connection would wait for ours for ever"
    assert re.fullmatch(r"instructure_dap\.dapkit_staging_[0-9a-f]{32}", copy.table)
    bare = copy.table.partition(".")[2]
    of_staging = [
        batch for batch in on.batches if bare in batch or batch in ("BEGIN TRANSACTION", "COMMIT TRANSACTION")
    ]
    assert "sp_getapplock" in of_staging[0]
    assert of_staging[1].startswith("CREATE TABLE")
    assert of_staging[2] == f"COPY {copy.table}"
    end = of_staging.index("COMMIT TRANSACTION")
    assert of_staging.index("BEGIN TRANSACTION") > 2
    assert of_staging[end + 1].startswith("DROP TABLE IF EXISTS")
    assert "sp_releaseapplock" in of_staging[end + 2]


def test_missing_rows_never_begin_a_transaction(tmp_path: Path) -> None:
    on = connection(1)
    with pytest.raises(IntegrityError, match="2 rows, but 1 arrived"):
        session(on).initial_load(load(tmp_path, [A, B]))
    assert not on.found("BEGIN TRANSACTION")
    assert on.found("DROP TABLE IF EXISTS .*dapkit_staging")


def test_errors_of_a_file_are_raised_unchanged(tmp_path: Path) -> None:
    on = connection(1)
    with pytest.raises(
        BadValueError, match=r"Column size has the value .many. \(id 1\), which is not a 32-bit integer"
    ):
        session(on).initial_load(load(tmp_path, [A | {"size": "many"}]))
    assert not on.found("BEGIN TRANSACTION")
    assert on.found("DROP TABLE IF EXISTS .*dapkit_staging")


@pytest.mark.parametrize(
    ("field", "loaded", "original"),
    [(b"a\xff", "a\ufffd", r"a\xff"), (b"\xed\xa0\xbd", "\ufffd\ufffd\ufffd", r"\xed\xa0\xbd")],
)
def test_text_that_is_not_utf8_is_repaired(tmp_path: Path, field: bytes, loaded: str, original: str) -> None:
    path, side = tmp_path / "odd.tsv.gz", tmp_path / "side.jsonl"
    path.write_bytes(gzip.compress(b"meta.ts\tkey.id\tvalue.name\n2024-03-01T12:00:00Z\t1\t" + field + b"\n"))
    files = DataFiles(paths=(path,), rows=1)
    options = LoadOptions(side_file=side)
    on = connection(1)
    stats = session(on).initial_load(Load(table=TABLE, files=files, watermark=MARK, options=options))
    assert dict(stats.repaired) == {"name": 1}
    assert [row[3] for row in on.copies[-1].rows] == [loaded]
    assert json.loads(side.read_text())["value"] == original


def test_a_load_without_files() -> None:
    on = connection(0)
    session(on).initial_load(Load(table=TABLE, files=DataFiles(paths=(), rows=0), watermark=MARK))
    assert not on.copies
    assert on.found("^COMMIT TRANSACTION")


def test_texts_beyond_the_code_page_of_the_database(tmp_path: Path) -> None:
    answers = {"DATABASEPROPERTYEX": [(51, 1252, 65001)]}
    on = connection(1, **answers)
    counts = session(on).initial_load(load(tmp_path, [A | {"name": "中"}]))
    assert dict(counts.repaired) == {"name": 1}
    assert on.copies[0].rows[0][3] == "?"
    on = connection(1, **answers)
    with pytest.raises(BadValueError, match="name"):
        session(on).initial_load(load(tmp_path, [A | {"name": "中"}], options=LoadOptions(bad_values=BadValues.FAIL)))
    assert not on.found("BEGIN TRANSACTION")


def test_an_existing_column_may_have_another_collation(tmp_path: Path) -> None:
    on = connection(1, **EXISTS, DATABASEPROPERTYEX=[(51, 1252, 65001)])
    counts = session(on).apply_increment(load(tmp_path, [A | {"name": "中"}], action=True), BEFORE)
    assert not counts.repaired, "the column is UTF-8"


# Initial loads


def test_the_sync_state_is_stored_in_ascii(tmp_path: Path) -> None:
    on = connection(1)
    session(on).initial_load(load(tmp_path, [A]))
    index = next(index for index, batch in enumerate(on.batches) if 'INTO "instructure_dap"."table_sync"' in batch)
    *row, document = on.values[index]
    assert row == ["canvas", "things", datetime(2024, 3, 1, 13, 0, 0, 123456), 1, "canvas", "things", "json"]
    assert document.isascii(), "no code page loses any of it"


@pytest.mark.parametrize(
    "step", ["CREATE TABLE .canvas", "INSERT INTO .canvas", "PRIMARY KEY", "table_sync", "^COMMIT"]
)
def test_an_error_at_any_step_undoes_the_transaction(tmp_path: Path, step: str) -> None:
    on = connection(1, **{step: rejection("42000", "No.")})
    with pytest.raises(TargetError, match=r"SQL Server says: No\."):
        session(on).initial_load(load(tmp_path, [A]))
    released = next(index for index, batch in enumerate(on.batches) if "sp_releaseapplock" in batch)
    assert on.batches.index(ROLLBACK) < released


def test_an_existing_table_is_rejected_before_rows_are_read(tmp_path: Path) -> None:
    for answers, error in ((THERE, ConcurrentUpdateError), (THERE | {"^SELECT id FROM": []}, IncompatibleLayoutError)):
        on = connection(1, **answers)
        with pytest.raises(error):
            session(on).initial_load(load(tmp_path, [A]))
        assert not on.copies


def test_of_two_initial_loads_of_a_table_the_second_is_a_concurrent_update(tmp_path: Path) -> None:
    said = rejection("42S01", "There is already an object named 'things' in the database.")
    on = connection(1, **{"^CREATE TABLE .canvas": said})
    with pytest.raises(ConcurrentUpdateError):
        session(on).initial_load(load(tmp_path, [A]))


# Increments and snapshots


def test_an_increment_locks_the_row_of_its_state_by_number_before_anything_else(tmp_path: Path) -> None:
    on = connection(2, **EXISTS)
    counts = session(on).apply_increment(load(tmp_path, [A, deleted(id=2)], action=True), BEFORE)
    assert counts.deleted == 1
    within = on.within()
    assert "UPDLOCK" in within[1]
    assert within[1].endswith("WHERE id IN (3)")
    rows = [batch for batch in within if batch.split()[0] in ("DELETE", "UPDATE", "INSERT")]
    assert kinds(rows) == ["DELETE", "UPDATE", "INSERT", "UPDATE", "INSERT"], "rows, state, history"
    assert [row[1] for row in on.copies[0].rows] == ["U", "D"]
    assert not on.copies[0].within


@pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
def test_a_stale_state_is_rejected_before_rows_are_read(tmp_path: Path, action: str) -> None:
    on = connection(1, **EXISTS)
    stale = replace(BEFORE, watermark=MARK - timedelta(hours=1))
    with pytest.raises(ConcurrentUpdateError):
        getattr(session(on), action)(load(tmp_path, [A], action=action == "apply_increment"), stale)
    assert not on.copies
    assert not on.found("BEGIN TRANSACTION")


@pytest.mark.parametrize("saved", [[], [(DB_MARK.replace(year=2025),)]])
def test_a_state_that_changed_while_rows_were_copied(tmp_path: Path, saved: list[tuple[datetime]]) -> None:
    marks = iter([[(DB_MARK,)], [(DB_MARK,)], saved])
    on = connection(1, **EXISTS, UPDLOCK=lambda: next(marks))
    with pytest.raises(ConcurrentUpdateError):
        session(on).apply_increment(load(tmp_path, [A], action=True), BEFORE)
    assert ROLLBACK in on.batches
    assert not on.found(r"^(INSERT|UPDATE|DELETE) ")


def test_a_snapshot_is_merged(tmp_path: Path) -> None:
    on = connection(2, **EXISTS)
    assert session(on).full_refresh(load(tmp_path, [A, B]), BEFORE).deleted == 1
    assert kinds(on.found('^(DELETE|UPDATE|INSERT) .*"canvas"')) == ["DELETE", "UPDATE", "INSERT"]
    on = connection(2, **EXISTS)
    session(on).full_refresh(load(tmp_path, [A, B], options=LoadOptions(keep_missing=True)), BEFORE)
    assert not on.found("^DELETE")


def test_a_snapshot_of_an_incompatible_schema_empties_the_table_and_fills_it(tmp_path: Path) -> None:
    on = connection(1, **EXISTS)
    other = table_of({"name": INT32, "size": INT32}, version=2)
    session(on).full_refresh(load(tmp_path, [{"id": 1, "name": 5}], table=other), BEFORE)
    within = on.within()
    steps = ["^TRUNCATE TABLE", "^INSERT INTO .canvas", "PRIMARY KEY"]
    places = [next(n for n, batch in enumerate(within) if re.search(step, batch)) for step in steps]
    assert places == sorted(places), "the key is added to the filled table"
    on = connection(1, **EXISTS)
    keep = LoadOptions(keep_missing=True)
    with pytest.raises(SchemaChangeNotSupportedError):
        session(on).full_refresh(load(tmp_path, [A], table=other, options=keep), BEFORE)
    assert not on.copies, "rejected before rows are read"


def test_of_repeated_keys_the_newest_is_merged(tmp_path: Path) -> None:
    on = connection(2, **EXISTS, **{"HAVING count": [(1,)]})
    session(on).apply_increment(load(tmp_path, [A, A], action=True), BEFORE)
    merged = [batch for batch in on.within() if batch.startswith("DELETE")]
    assert merged
    assert all('"#dapkit_newest"' in batch for batch in merged)
    assert on.batches[on.batches.index(merged[0]) :].count('DROP TABLE IF EXISTS "#dapkit_newest"') == 1


@pytest.mark.parametrize("collation", ["Latin1_General_100_BIN2_UTF8", "Latin1_General_CI_AS"])
def test_lookup_tables_distinguish_case_before_values_and_rows_are_added(tmp_path: Path, collation: str) -> None:
    lookup = [
        ("id", "int", 4, 10, 0, False, None, None, None, True, None, None),
        ("value", "varchar", 256, 0, 0, False, None, None, 65001, False, None, collation),
    ]
    on = connection(1)

    def columns() -> list[tuple[Any, ...]]:
        return lookup if "things__open" in on.values[-1][0] else []

    on.answers[r"FROM sys\.columns AS c"] = columns
    session(on).initial_load(load(tmp_path, [{"id": 1, "open": "new"}], table=table_of({"open": OPEN})))
    changed = on.found('"things__open" ALTER COLUMN "value" varchar.256. COLLATE Latin1_General_100_BIN2_UTF8')
    assert bool(changed) == (collation == "Latin1_General_CI_AS")
    within = on.within()
    steps = [*changed, 'INSERT INTO "canvas"."things__open"', 'INSERT INTO "canvas"."things" ']
    places = [next(n for n, batch in enumerate(within) if step in batch) for step in steps]
    assert places == sorted(places)
    assert on.copies[0].rows[0][-1] == "new"


# Other methods of a session


def test_state_tables_are_created_in_one_transaction() -> None:
    on = connection()
    session(on).prepare("canvas", sandbox=False)
    within = on.within()
    lock = next(index for index, batch in enumerate(within) if "sp_getapplock" in batch)
    assert lock < next(index for index, batch in enumerate(within) if "CREATE TABLE" in batch)
    number = within.index('INSERT INTO "instructure_dap"."database_version" (version) VALUES (1)')
    assert within[number - 1].endswith("ON")
    assert within[number + 1].endswith("OFF")


def test_status() -> None:
    managed = session(connection(**THERE, **STATE))
    assert managed.status("canvas", "things") is TableStatus.MANAGED
    assert managed.sync_states("canvas")["things"].watermark == MARK
    assert session(connection(**THERE)).status("canvas", "things") is TableStatus.UNMANAGED
    assert session(connection()).status("canvas", "things") is TableStatus.ABSENT


def test_a_dropped_table_takes_its_lookup_tables_with_it() -> None:
    on = connection(**{"SELECT l.name": [("things__open",)]})
    session(on).drop("canvas", "things")
    assert on.within()[:2] == [
        'DROP TABLE IF EXISTS "canvas"."things"',
        'DROP TABLE IF EXISTS "canvas"."things__open"',
    ]


def test_a_half_loaded_table_is_repaired_if_its_layout_is_ours(tmp_path: Path) -> None:
    scratch = [("pk_dapkit_scratch_51_things", *INDEXES[0][1:])]
    keys = iter([scratch, INDEXES, INDEXES])
    on = connection(1, **(EXISTS | {r"FROM sys\.indexes": lambda: next(keys)}))
    session(on).repair(load(tmp_path, [A]))
    created = next(n for n, batch in enumerate(on.batches) if 'CREATE TABLE "dapkit_scratch_51"."things"' in batch)
    assert ROLLBACK in on.batches[created:], "the scratch table is undone"
    assert kinds(on.found('^(DELETE|UPDATE|INSERT) .*"canvas"')) == ["DELETE", "UPDATE", "INSERT"]


def test_a_half_loaded_table_of_an_early_official_client_is_repaired(tmp_path: Path) -> None:
    table = table_of({"name": TEXT | {"maxLength": 255}, "size": INT32})
    wide, narrow = ([COLUMNS[0], ("name", "varchar", width, *COLUMNS[1][3:]), COLUMNS[2]] for width in (1020, 255))
    layouts = iter([wide, narrow, narrow, narrow])
    scratch = [("pk_dapkit_scratch_51_things", *INDEXES[0][1:])]
    keys = iter([scratch, INDEXES, INDEXES, INDEXES])
    columns = {r"FROM sys\.columns AS c": lambda: next(layouts), r"FROM sys\.indexes": lambda: next(keys)}
    on = connection(1, **columns)
    session(on).repair(replace(load(tmp_path, [A]), table=table))
    assert kinds(on.found('^(DELETE|UPDATE|INSERT) .*"canvas"')) == ["DELETE", "UPDATE", "INSERT"]


def test_a_table_of_the_user_is_not_touched(tmp_path: Path) -> None:
    layouts = iter([COLUMNS, COLUMNS[:-1]])
    on = connection(1, **(EXISTS | {r"FROM sys\.columns AS c": lambda: next(layouts)}))
    with pytest.raises(IncompatibleLayoutError) as caught:
        session(on).repair(load(tmp_path, [A]))
    assert "size" in caught.value.hint
    assert not on.copies
    assert not on.found(r'^(INSERT|UPDATE|DELETE).*"canvas"')


def test_a_comparison_is_undone_and_stages_all_its_rows_first(tmp_path: Path) -> None:
    answers = {
        r"count_big\(\*\) FROM .canvas": [(9,)], r"AS found$": [(0,)], "HAVING count.* > 1$": [(1,)],
        r"SELECT count_big\(\*\), sum\(differs_0\)": [(8, 0, 2)],
    }  # fmt: skip
    on = connection(1, **EXISTS, **answers, **THERE, **STATE)
    changes = load(tmp_path, [B], action=True)
    found = session(on).compare(ExpectedTable(actual=BEFORE, snapshot=load(tmp_path, [A]), changes=changes))
    assert (found.rows, found.compared, dict(found.differing), found.equal) == (9, 8, {"size": 2}, False)
    assert "COMMIT TRANSACTION" not in on.batches
    assert on.batches.count(ROLLBACK) == 1
    assert [copy.within for copy in on.copies] == [False, False]
    assert len(on.found("DROP TABLE IF EXISTS .*dapkit_staging")) == 2
    newest = [batch.split()[0] for batch in on.batches if "#dapkit_newest" in batch and "INSERT" not in batch]
    assert newest[:4] == ["DROP", "SELECT", "DROP", "DROP"], (
        "the rows of the snapshot are used before the next are made"
    )


def test_planned_statements_are_not_executed() -> None:
    on = connection(**EXISTS)
    made = session(on)
    assert made.schema_change_sql(TABLE, None, LoadOptions())[0].startswith('CREATE TABLE "canvas"."things"')
    wider = table_of({"name": TEXT, "size": INT32, "more": TEXT}, version=2)
    assert made.schema_change_sql(wider, BEFORE, LoadOptions())
    assert not on.found("^(?!\\s*SELECT)")
