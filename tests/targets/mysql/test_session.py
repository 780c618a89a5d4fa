"""Specific to MySQL and MariaDB: DDL that commits, lookup tables, conversions of LOAD DATA, and a server without it."""

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from tests.contract.database_fixture import Values, driver_of
from tests.contract.mysql_fixture import MySqlFixture
from tests.contract.table_fixture import SqlTableFixture, interrupted
from tests.support.mariadb_server import mariadb_server
from tests.support.mysql_server import MySqlServer
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import Row, deleted

from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    DapError,
    IncompatibleLayoutError,
    SchemaChangeNotSupportedError,
    TargetBusyError,
    TargetError,
    TargetPermissionError,
    TargetUnreachableError,
)
from dapkit.targets.base import ExpectedTable, LoadOptions, TableStatus
from dapkit.targets.mysql.target import target_of
from dapkit.targets.sql.sync_state import SyncStateStore

pytestmark = pytest.mark.server

ENUM: Node = {"type": "string", "enum": ["a", "b", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
MOMENT: Node = {"type": "string", "format": "date-time"}
BASE = table_of({"name": TEXT, "size": INT64})
NARROWER = table_of({"name": TEXT, "size": INT32, "open": OPEN}, version=2)
ROWS: list[Values] = [{"id": 1, "name": "a", "size": 1}, {"id": 2, "name": "b", "size": 2}]
NEW: list[Values] = [{"id": 1, "name": "x", "size": 10, "open": "known"}, {"id": 3, "size": 30}]


@pytest.fixture
def fixture(mysql_url: str, tmp_path: Path) -> Iterator[SqlTableFixture]:
    fixture = SqlTableFixture(MySqlFixture(mysql_url), tmp_path)
    yield fixture
    fixture.session.close()


@pytest.fixture
def no_local(mysql_server: MySqlServer) -> Iterator[None]:
    with mysql_server.with_variable("local_infile", "OFF"):
        yield


def ids(fixture: SqlTableFixture) -> list[object]:
    return [row[0] for row in fixture.database.query('SELECT id FROM "canvas__things" ORDER BY id')]


def test_the_session_settings_are_those_of_the_official_client(fixture: SqlTableFixture) -> None:
    asked = "SELECT @@sql_mode, @@time_zone, @@character_set_client, @@autocommit"
    ((modes, zone, charset, autocommit),) = fixture.driver.query(asked)
    assert {"ANSI_QUOTES", "NO_AUTO_VALUE_ON_ZERO", "STRICT_ALL_TABLES"} <= set(modes.split(","))
    assert (zone, charset, autocommit) == ("+00:00", "utf8mb4", 1)


# Unmanaged and unfinished tables


def test_an_unmanaged_table_is_not_touched_even_if_it_is_empty(fixture: SqlTableFixture) -> None:
    fixture.database.execute('CREATE TABLE "canvas__things" (mine integer)')
    assert fixture.session.status("canvas", "things") is TableStatus.UNMANAGED
    with pytest.raises(IncompatibleLayoutError, match="canvas__things"):
        fixture.initial_load(BASE, ROWS)
    assert fixture.database.query('SELECT mine FROM "canvas__things"') == []


def test_an_empty_table_left_by_a_killed_load_is_created_again(fixture: SqlTableFixture) -> None:
    unfinished = "INSERT INTO \"instructure_dap__dapkit_begun\" VALUES ('canvas', 'things')"
    fixture.database.execute('CREATE TABLE "canvas__things" (half integer)', unfinished)
    assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
    fixture.initial_load(BASE, ROWS)
    fixture.assert_holds(BASE, ROWS)
    assert fixture.database.query('SELECT * FROM "instructure_dap__dapkit_begun"') == []


def test_an_unfinished_table_with_rows_is_not_touched(fixture: SqlTableFixture) -> None:
    unfinished = "INSERT INTO \"instructure_dap__dapkit_begun\" VALUES ('canvas', 'things')"
    filled = 'INSERT INTO "canvas__things" VALUES (1)'
    fixture.database.execute('CREATE TABLE "canvas__things" (mine integer)', filled, unfinished)
    assert fixture.session.status("canvas", "things") is TableStatus.UNMANAGED
    with pytest.raises(IncompatibleLayoutError):
        fixture.initial_load(BASE, ROWS)
    assert fixture.database.query('SELECT mine FROM "canvas__things"') == [(1,)]


def test_an_unmanaged_table_with_the_name_of_a_lookup_table_is_not_touched(fixture: SqlTableFixture) -> None:
    fixture.database.execute('CREATE TABLE "canvas__things__open" (mine integer)')
    fixture.database.execute('INSERT INTO "canvas__things__open" VALUES (7)')
    with pytest.raises(IncompatibleLayoutError, match="canvas__things__open"):
        fixture.initial_load(table_of({"open": OPEN}), [{"id": 1, "open": "known"}])
    fixture.reopen()
    assert fixture.database.query('SELECT mine FROM "canvas__things__open"') == [(7,)]
    assert fixture.session.status("canvas", "things") is TableStatus.ABSENT


# Rebuilds


def test_an_interruption_at_any_step_of_a_rebuild_is_completed_by_the_next_run(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    files = fixture.files(NARROWER, [*NEW, NEW[0]], action=False)
    for step in range(1, 200):
        load = fixture.load(NARROWER, files)
        with interrupted(fixture.session, step) as interruption:
            fixture.session.full_refresh(load, fixture.state(NARROWER))
        if not interruption.happened:
            break
        fixture.reopen()
        assert ids(fixture) in ([1, 2], [1, 3]), "before or after the rebuild"
        assert fixture.state(BASE).schema.version == 1
    fixture.assert_holds(NARROWER, NEW)
    left = fixture.database.query("SHOW TABLES LIKE 'instructure\\_dap\\_\\_dapkit\\_%'")
    assert sorted(row[0].rpartition("__")[2] for row in left) == ["dapkit_begun", "dapkit_history", "dapkit_origin"]
    assert fixture.database.query(
        "SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = database()"
        " AND table_name = 'canvas__things' AND constraint_type = 'FOREIGN KEY'"
    ) == [("fk_canvas__things_open",)]


def test_a_failed_rebuild_leaves_no_copy(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    with pytest.raises(BadValueError):
        fixture.full_refresh(NARROWER, [{"id": 1, "size": "many"}])
    fixture.assert_rows(BASE, ROWS)
    assert fixture.database.query("SHOW TABLES LIKE '%dapkit\\_fresh%'") == []


def test_a_table_that_a_foreign_key_refers_to_is_not_rebuilt(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    fixture.database.execute(
        'CREATE TABLE child (thing bigint PRIMARY KEY, FOREIGN KEY (thing) REFERENCES "canvas__things" (id))',
        "INSERT INTO child VALUES (1)",
    )
    before = fixture.database.existing_objects()
    with fixture.rejected(BASE, IncompatibleLayoutError) as caught:
        fixture.full_refresh(NARROWER, NEW)
    assert ".child refer to it" in caught.value.message
    assert fixture.database.existing_objects() == before
    fixture.apply_increment(BASE, [{"id": 2, "name": "x", "size": 2}])
    fixture.assert_holds(BASE, [ROWS[0], {"id": 2, "name": "x", "size": 2}])


def test_a_rebuild_keeps_indexes_of_the_user_whatever_the_server_quotes(
    fixture: SqlTableFixture, mysql_server: MySqlServer
) -> None:
    fixture.initial_load(BASE, ROWS)
    fixture.database.execute('ALTER TABLE "canvas__things" ADD KEY mine (size)')
    with mysql_server.with_variable("sql_quote_show_create", "0"):
        fixture.reopen()
        fixture.full_refresh(NARROWER, NEW)
    indexes = fixture.driver.catalog.existing("canvas", "things").indexes
    assert [index.name for index in indexes] == ['"mine"']


def test_a_renamed_table_with_the_old_state_continues_with_increments(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    before = fixture.state(BASE)
    fixture.full_refresh(NARROWER, NEW)
    document = json.dumps(dict(before.schema.document)).replace("\\", "\\\\").replace("'", "''")
    fixture.database.execute(
        'UPDATE "instructure_dap__table_sync" SET schema_version = 1,'
        f" timestamp = '{before.watermark:%Y-%m-%d %H:%M:%S}', schema_description = '{document}'",
        'ALTER TABLE "canvas__things" DROP FOREIGN KEY "fk_canvas__things_open"',
    )
    fixture.apply_increment(NARROWER, [{"id": 4, "size": 4, "open": "more"}, deleted(id=3)])
    fixture.assert_holds(NARROWER, [NEW[0], {"id": 4, "size": 4, "open": "more"}])


@pytest.mark.parametrize("done", range(5))
def test_completed_schema_changes_are_not_repeated(fixture: SqlTableFixture, done: int) -> None:
    fixture.initial_load(BASE, ROWS)
    wider = table_of({"name": TEXT, "size": INT64, "more": OPEN, "when": MOMENT}, version=2)
    statements = fixture.session.schema_change_sql(wider, fixture.state(BASE), LoadOptions())
    assert len(statements) == 4
    fixture.database.execute(*statements[:done])
    fixture.apply_increment(wider, [{"id": 3, "more": "x"}])
    fixture.assert_holds(wider, [*ROWS, {"id": 3, "more": "x"}])
    assert fixture.session.schema_change_sql(wider, fixture.state(wider), LoadOptions()) == []


# Values


def test_a_text_of_digits_is_not_taken_for_the_index_of_an_enum_value(fixture: SqlTableFixture) -> None:
    table = table_of({"v": ENUM})
    counts = fixture.initial_load(table, [{"id": 1, "v": "2"}, {"id": 2, "v": "b"}, {"id": 3, "v": ""}])
    assert counts.repaired == {"v": 2}
    unknown = "__dap_unspecified__"
    fixture.assert_holds(table, [{"id": 1, "v": unknown}, {"id": 2, "v": "b"}, {"id": 3, "v": unknown}])


TIMES: list[Values] = [
    {"id": 1, "v": "2024-02-29T23:59:59.499999Z", "t": "11:59:59.4Z"},
    {"id": 2, "v": "2024-02-29T23:59:59.5Z", "t": "11:59:59.5Z"},
    {"id": 3, "v": "9999-12-31T23:59:59.999999Z", "t": None},
]


def rounds(fixture: SqlTableFixture) -> bool:
    return fixture.driver.dialect.facts.product == "MySQL"


def test_fractions_of_seconds_are_stored_as_the_official_client_stores_them(fixture: SqlTableFixture) -> None:
    table = table_of({"v": MOMENT, "t": {"type": "string", "format": "time"}})
    fixture.initial_load(table, TIMES)
    second = [datetime(2024, 3, 1), timedelta(hours=12)] if rounds(fixture) else None
    last = [datetime(2024, 2, 29, 23, 59, 59), timedelta(hours=11, minutes=59, seconds=59)]
    expected = [last, second or last, [datetime(9999, 12, 31, 23, 59, 59), None]]
    read = 'SELECT v, t FROM "canvas__things" ORDER BY id'
    assert [list(row) for row in fixture.database.query(read)] == expected
    fixture.full_refresh(table, TIMES)
    assert [list(row) for row in fixture.database.query(read)] == expected


def test_a_watermark_is_rounded_down(fixture: SqlTableFixture) -> None:
    fixture.now = datetime(2024, 3, 1, 11, 59, 59, 999_999, tzinfo=UTC)
    fixture.initial_load(BASE, ROWS)
    state = fixture.state(BASE)
    assert state.watermark == datetime(2024, 3, 1, 12, 59, 59, tzinfo=UTC)
    # The official client's watermark may have been rounded up by MySQL.
    assert state.watermark - state.changes_since == timedelta(seconds=1 if rounds(fixture) else 0)


@pytest.mark.parametrize("shift", [0, -1, 1, 2])
def test_both_seconds_next_to_a_fraction_are_equal(fixture: SqlTableFixture, shift: int) -> None:
    table = table_of({"v": MOMENT})
    fixture.initial_load(table, [{"id": 1, "v": "2024-02-29T12:00:00.7Z"}, {"id": 2, "v": "2024-02-29T12:00:00Z"}])
    fixture.database.execute(
        f"UPDATE \"canvas__things\" SET v = TIMESTAMP '2024-02-29 12:00:00' + INTERVAL {shift} SECOND WHERE id = 1"
    )
    rows: list[Values] = [{"id": 1, "v": "2024-02-29T12:00:00.7Z"}, {"id": 2, "v": "2024-02-29T12:00:00Z"}]
    files = fixture.files(table, rows, action=False)
    expected = ExpectedTable(actual=fixture.state(table), snapshot=fixture.load(table, files))
    comparison = fixture.session.compare(expected)
    accepted = (0, 1) if rounds(fixture) else (0,)
    assert comparison.differing == ({} if shift in accepted else {"v": 1})


@pytest.mark.parametrize(
    ("node", "wire"),
    [
        (INT32, "one"), (INT32, "2147483648"), ({"type": "boolean"}, "yes"), (MOMENT, "2024-02-30T00:00:00Z"),
        (MOMENT, "2024-02-29T12:00:00+02:00"), ({"type": "string", "format": "uuid"}, "550e8400"),
        ({"type": "string", "format": "uuid"}, "z" * 32), ({"type": "string", "format": "ipv4"}, "::1"),
        ({"type": "string", "format": "ipv6"}, "192.0.2.1"), ({"type": "string", "format": "ipv6"}, "x"),
        (TEXT | {"maxLength": 3}, "abcd"), ({"type": "object"}, "{"), ({"type": "number"}, "1e999"),
        ({"type": "string", "format": "time"}, "25 o'clock"), ({"type": "string", "format": "date"}, "2024-13-01"),
        (OPEN, "x" * 300),
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["initial_load", "apply_increment"])
def test_a_value_of_another_type_is_rejected(fixture: SqlTableFixture, node: Node, wire: str, action: str) -> None:
    table = table_of({"v": node})
    if action == "initial_load":
        with pytest.raises(BadValueError):
            fixture.initial_load(table, [{"id": 1, "v": wire}])
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
    else:
        fixture.initial_load(table, [{"id": 1, "v": None}])
        with fixture.rejected(table, BadValueError):
            fixture.apply_increment(table, [{"id": 2, "v": wire}])


def test_a_database_with_another_character_set_stores_all_of_unicode(mysql_server: MySqlServer, tmp_path: Path) -> None:
    with mysql_server.database() as url:
        mysql_server.execute(f"ALTER DATABASE {url.rpartition('/')[2]} CHARACTER SET latin1")
        fixture = SqlTableFixture(MySqlFixture(url), tmp_path)
        fixture.initial_load(BASE, [{"id": 1, "name": "👩 Ž"}])
        fixture.assert_holds(BASE, [{"id": 1, "name": "👩 Ž"}])
        fixture.session.close()


def test_a_lookup_table_of_the_official_client_is_made_case_sensitive(fixture: SqlTableFixture) -> None:
    table = table_of({"open": OPEN})
    fixture.initial_load(table, [{"id": 1, "open": "Users"}])
    fixture.database.execute(
        'ALTER TABLE "canvas__things__open" MODIFY value varchar(64) COLLATE utf8mb4_general_ci NOT NULL'
    )
    fixture.apply_increment(table, [{"id": 2, "open": "users"}, {"id": 3, "open": "users "}])
    fixture.assert_holds(table, [{"id": 1, "open": "Users"}, {"id": 2, "open": "users"}, {"id": 3, "open": "users "}])


def test_a_table_whose_key_is_not_unique_keeps_following_the_service(fixture: SqlTableFixture) -> None:
    table = table_of({"at": MOMENT, "open": OPEN})
    fixture.initial_load(table, [{"id": 1, "at": datetime(2024, 1, 1), "open": "known"}, {"id": 2}])
    fixture.database.execute(
        "UPDATE \"canvas__things\" SET at = TIMESTAMP '2024-01-02 00:00:00' WHERE at IS NULL",
        'ALTER TABLE "canvas__things" DROP PRIMARY KEY, ADD PRIMARY KEY (id, at)',  # as partitions need it
    )
    rows: list[Values] = [{"id": 1, "at": datetime(2024, 3, 1), "open": "new"}, {"id": 3, "at": datetime(2024, 1, 5)}]
    fixture.apply_increment(table, [*rows, deleted(id=2)])
    fixture.assert_holds(table, rows)
    rows.append({"id": 4, "at": datetime(2024, 1, 6)})
    fixture.full_refresh(table, rows)
    fixture.assert_holds(table, rows)


def test_a_unique_index_of_the_user_updates_no_other_row(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    fixture.database.execute('ALTER TABLE "canvas__things" ADD UNIQUE mine (size)')
    with fixture.rejected(BASE, TargetError):
        fixture.apply_increment(BASE, [{"id": 3, "name": "c", "size": 1}])
    fixture.apply_increment(BASE, [{"id": 1, "name": "x", "size": 1}, {"id": 3, "name": "c", "size": 3}])
    fixture.assert_holds(BASE, [{"id": 1, "name": "x", "size": 1}, ROWS[1], {"id": 3, "name": "c", "size": 3}])


def test_a_merge_without_the_key_keeps_what_the_user_added_to_rows(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    fixture.database.execute(
        'ALTER TABLE "canvas__things" ADD UNIQUE mine (size), ADD COLUMN note varchar(20)',
        "UPDATE \"canvas__things\" SET note = 'mine'",
        "CREATE TABLE child (id bigint PRIMARY KEY, thing bigint,"
        ' FOREIGN KEY (thing) REFERENCES "canvas__things" (id) ON DELETE CASCADE)',
        "INSERT INTO child VALUES (1, 1)",
    )
    fixture.apply_increment(BASE, [{"id": 1, "name": "x", "size": 1}])
    fixture.full_refresh(BASE, [{"id": 1, "name": "y", "size": 3}, ROWS[1]])
    assert fixture.database.query('SELECT name, note FROM "canvas__things" ORDER BY id') == [
        ("y", "mine"),
        ("b", "mine"),
    ]
    assert fixture.database.query("SELECT thing FROM child") == [(1,)]


# A server that forbids LOAD DATA LOCAL


@pytest.mark.usefixtures("no_local")
def test_rows_are_inserted_without_load_data(fixture: SqlTableFixture) -> None:
    table = table_of({"name": TEXT, "v": ENUM, "at": MOMENT, "x": {"type": "number"}, "open": OPEN})
    rows: list[Values] = [
        {"id": number, "name": f"{number}\t\\'\"\n\0%s", "v": "b", "at": datetime(2024, 1, 1), "open": "o'"}
        for number in range(3000)
    ]
    fixture.initial_load(table, rows)
    fixture.assert_holds(table, rows)
    counts = fixture.apply_increment(
        table, [{"id": 1, "v": "new", "x": "NaN"}, deleted(id=2), Row({"id": 3}), Row({"id": 3})]
    )
    assert (counts.written, counts.deleted, counts.repaired) == (2, 1, {"v": 1, "x": 1})
    fixture.assert_holds(table, [rows[0], {"id": 1, "v": "__dap_unspecified__"}, {"id": 3}, *rows[4:]])
    with fixture.rejected(table, BadValueError):
        fixture.apply_increment(table, [{"id": 1, "at": "soon"}])


@pytest.mark.usefixtures("no_local")
def test_repeated_keys_are_found_without_load_data(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, [Row(ROWS[0] | {"name": "old"}, "2024-01-01T00:00:00Z"), Row(ROWS[0]), Row(ROWS[1])])
    fixture.assert_holds(BASE, ROWS)


@pytest.mark.usefixtures("no_local")
def test_a_row_that_is_too_long_without_load_data_is_an_error_at_once(
    fixture: SqlTableFixture, mysql_server: MySqlServer
) -> None:
    with mysql_server.with_variable("max_allowed_packet", "1048576"):
        fixture.reopen()
        with pytest.raises(TargetError, match="max_allowed_packet") as caught:
            fixture.initial_load(BASE, [{"id": 1, "name": "x" * 1_100_000}])
        assert not caught.value.retryable
        assert "local_infile" in caught.value.hint
        fixture.initial_load(BASE, [{"id": number, "name": "x" * 400_000} for number in range(5)])


@pytest.mark.usefixtures("no_local")
def test_text_that_is_not_utf8_is_repaired_without_load_data(fixture: SqlTableFixture) -> None:
    files = fixture.files(BASE, [{"id": 1, "name": "a?"}], action=False)
    files.paths[0].write_bytes(gzip.compress(gzip.decompress(files.paths[0].read_bytes()).replace(b"?", b"\xff")))
    assert fixture.session.initial_load(fixture.load(BASE, files)).repaired == {"name": 1}
    fixture.assert_holds(BASE, [{"id": 1, "name": "a\ufffd"}])


# Concurrency, privileges and lost connections


def test_a_locked_state_row_does_not_block_other_tables(fixture: SqlTableFixture) -> None:
    other = table_of({"name": TEXT}, name="others")
    fixture.initial_load(BASE, ROWS)
    fixture.initial_load(other, [])
    session = fixture.database.open()
    driver_of(session).query("SET SESSION innodb_lock_wait_timeout = 1")
    with fixture.driver.transaction():
        SyncStateStore(fixture.driver).lock(fixture.state(BASE))
        load = fixture.load(other, fixture.files(other, [{"id": 1, "name": "x"}], action=True))
        assert session.apply_increment(load, session.sync_states("canvas")["others"]).written == 1
    session.close()


def test_the_documented_privileges_are_sufficient(
    fixture: SqlTableFixture, mysql_server: MySqlServer, mysql_url: str
) -> None:
    database = mysql_url.rpartition("/")[2]
    privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES"
    mysql_server.execute(
        "DROP USER IF EXISTS dapkit_worker", "CREATE USER dapkit_worker IDENTIFIED BY 'secret'",
        f"GRANT {privileges} ON {database}.* TO dapkit_worker",
    )  # fmt: skip
    worker_database = MySqlFixture(f"mysql://dapkit_worker:secret@{mysql_server.host}:{mysql_server.port}/{database}")
    worker = SqlTableFixture(worker_database, fixture.folder)
    worker.initial_load(BASE, ROWS)
    worker.full_refresh(NARROWER, [*NEW, NEW[0]])
    worker.apply_increment(NARROWER, [deleted(id=1)])
    worker.assert_holds(NARROWER, NEW[1:])
    worker.session.close()
    mysql_server.execute("DROP USER dapkit_worker")


def test_a_missing_privilege_is_named(fixture: SqlTableFixture, mysql_server: MySqlServer) -> None:
    ((database,),) = fixture.database.query("SELECT database()")
    mysql_server.execute(
        "DROP USER IF EXISTS dapkit_reader",
        "CREATE USER dapkit_reader IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON {database}.* TO dapkit_reader",
    )
    reader = target_of(f"mysql://dapkit_reader:secret@{mysql_server.host}:{mysql_server.port}/{database}").open()
    with pytest.raises(TargetPermissionError, match="CREATE command denied"):
        reader.prepare("canvas", sandbox=False)
    reader.close()
    mysql_server.execute("DROP USER dapkit_reader")


def test_a_lock_timeout_is_reported_as_busy(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    fixture.driver.query("SET SESSION innodb_lock_wait_timeout = 1")
    with fixture.database.connected() as other, other.transaction():
        other.query(f"SELECT * FROM {fixture.full_name(BASE)} FOR UPDATE")
        with pytest.raises(TargetBusyError):
            fixture.apply_increment(BASE, ROWS)
    fixture.apply_increment(BASE, ROWS)


def test_a_lost_connection_is_reported_as_unreachable(fixture: SqlTableFixture) -> None:
    ((number,),) = fixture.driver.query("SELECT connection_id()")
    fixture.database.execute(f"KILL {number}")
    for _ in range(2):  # the driver reports it differently the second time
        with pytest.raises(TargetUnreachableError):
            fixture.driver.query("SELECT 1")
    fixture.reopen()


@pytest.mark.slow
def test_a_server_killed_during_a_load_keeps_none_of_it(tmp_path: Path) -> None:
    with mariadb_server() as server, server.database() as url:
        fixture = SqlTableFixture(MySqlFixture(url), tmp_path)
        rows: list[Values] = [{"id": number, "name": "x" * 200, "size": 1} for number in range(60_000)]
        load = fixture.load(BASE, fixture.files(BASE, rows, action=False, files=20))
        failures: list[DapError] = []
        loading = Thread(target=lambda: failures.append(_failure(fixture, load)))
        loading.start()
        while not _has_begun(url):
            time.sleep(0.02)
        time.sleep(0.2)
        server.stop(kill=True)
        loading.join(30)
        server.start()
        fixture.reopen()
        assert isinstance(failures[0], TargetError)
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        fixture.session.initial_load(load)
        assert len(ids(fixture)) == 60_000
        fixture.session.close()


def _has_begun(url: str) -> bool:
    session = target_of(url).open()
    begun = session.driver.query('SELECT 1 FROM "instructure_dap__dapkit_begun"')
    session.close()
    return bool(begun)


def _failure(fixture: SqlTableFixture, load: object) -> DapError:
    try:
        fixture.session.initial_load(load)  # type: ignore[arg-type]
    except DapError as error:
        return error
    raise AssertionError


# Comparisons


def test_a_comparison_finds_each_difference_and_no_others(fixture: SqlTableFixture) -> None:
    table = table_of(
        {"name": TEXT, "open": OPEN, "settings": {"type": "object"}, "ip": {"type": "string", "format": "ipv6"}}
    )
    rows: list[Values] = [
        {"id": number, "name": f"n{number}", "open": "o", "settings": {"a": 1}, "ip": "::1"} for number in range(5)
    ]
    fixture.initial_load(table, rows)
    state = fixture.state(table)
    expected = ExpectedTable(actual=state, snapshot=fixture.load(table, fixture.files(table, rows, action=False)))
    assert fixture.session.compare(expected).equal
    fixture.database.execute('UPDATE "canvas__things" SET settings = \'{"a":   1}\'')
    assert fixture.session.compare(expected).equal, "spaces in JSON do not matter"
    fixture.database.execute(
        "UPDATE \"canvas__things\" SET name = 'N0' WHERE id = 0",
        'UPDATE "canvas__things" SET open = NULL WHERE id = 1',
        'UPDATE "canvas__things" SET id = 77 WHERE id = 4',
    )  # fmt: skip
    found = fixture.session.compare(expected)
    assert (found.missing, found.extra, dict(found.differing)) == (1, 1, {"name": 1, "open": 1})
    changes = fixture.files(table, [deleted(id=4), rows[0] | {"name": "N0"}], action=True)
    expected = replace(expected, changes=fixture.load(table, changes))
    assert fixture.session.compare(expected).missing == 0
    stale = fixture.load(table, fixture.files(table, [deleted(id=77), rows[1]], action=True))
    assert fixture.session.compare(replace(expected, stale=stale)).equal
    assert fixture.driver.query('SELECT count(*) FROM "canvas__things"') == [(5,)]
    fixture.apply_increment(table, [deleted(id=77)])


def test_an_unsupported_schema_change_is_rejected_before_rows_are_read(fixture: SqlTableFixture) -> None:
    fixture.initial_load(BASE, ROWS)
    with fixture.rejected(BASE, SchemaChangeNotSupportedError):
        fixture.apply_increment(NARROWER, NEW)
    load = fixture.load(BASE, fixture.files(BASE, [], action=True))
    with pytest.raises(ConcurrentUpdateError):
        fixture.session.apply_increment(load, replace(fixture.state(BASE), watermark=fixture.now - timedelta(days=9)))
