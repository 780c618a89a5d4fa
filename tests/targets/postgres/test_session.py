"""Specific to PostgreSQL: views that block changes, enum types, lookup tables, privileges, values that COPY rejects."""

import gzip
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.contract.postgres_fixture import PostgresFixture
from tests.contract.table_fixture import SqlTableFixture
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of
from tests.support.tsv_parts import Row, deleted

from dapkit.errors import (
    BadValueError,
    IncompatibleLayoutError,
    TargetBusyError,
    TargetError,
    TargetPermissionError,
    TargetRejectedError,
    TargetUnreachableError,
    UsageError,
)
from dapkit.targets.base import ExpectedTable, LoadOptions
from dapkit.targets.postgres import driver as postgres_driver
from dapkit.targets.postgres.driver import PostgresDriver
from dapkit.targets.postgres.target import target_of
from dapkit.targets.sql import sync_state

pytestmark = pytest.mark.server

ENUM: Node = {"type": "string", "enum": ["a", "b", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
TABLE = table_of({"name": TEXT | {"maxLength": 5}, "size": INT32})
WIDER = table_of({"name": TEXT, "size": INT64}, version=2)
ROWS = [{"id": 1, "name": "a", "size": 1}, {"id": 2, "name": "b", "size": 2}]
LIST: Node = {"type": "array", "items": TEXT}
FLOAT: Node = {"type": "number", "format": "double"}
THINGS = '"canvas"."things"'


@pytest.fixture
def fixture(postgres_url: str, tmp_path: Path) -> Iterator[SqlTableFixture]:
    fixture = SqlTableFixture(PostgresFixture(postgres_url), tmp_path)
    yield fixture
    fixture.session.close()


def test_the_session_uses_utc_and_sets_its_application_name(fixture: SqlTableFixture) -> None:
    settings = ("TimeZone", "client_encoding", "application_name", "statement_timeout")
    values = [fixture.driver.query(f"SHOW {name}")[0][0] for name in settings]
    assert values == ["UTC", "UTF8", "dapkit", "0"]


def test_state_tables_are_created_once_and_later_runs_need_no_create_privilege(
    fixture: SqlTableFixture, postgres_url: str
) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute(
        "DROP ROLE IF EXISTS dapkit_worker", "CREATE ROLE dapkit_worker LOGIN",
        "GRANT USAGE ON SCHEMA canvas, instructure_dap TO dapkit_worker",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA canvas, instructure_dap TO dapkit_worker",
    )  # fmt: skip
    worker = PostgresFixture(re.sub("//[^:]+:", "//dapkit_worker:", postgres_url))
    session = worker.open()
    session.prepare("canvas", sandbox=False)
    load = fixture.load(TABLE, fixture.files(TABLE, [{"id": 3}], action=True))
    assert session.apply_increment(load, session.sync_states("canvas")["things"]).written == 1
    with pytest.raises(TargetError) as caught:
        session.prepare("catalog", sandbox=False)
    assert "permission denied" in caught.value.message
    assert "Grant" in caught.value.hint
    session.close()


# Views

_VIEWS = (
    f"CREATE VIEW mine.names WITH (security_barrier='true') AS SELECT id, name, size FROM {THINGS} WHERE size > 0",
    "CREATE VIEW mine.of_names AS SELECT name AS label FROM mine.names",
    f"CREATE MATERIALIZED VIEW mine.sizes AS SELECT size, count(*) AS number FROM {THINGS} GROUP BY size",
    "CREATE UNIQUE INDEX by_size ON mine.sizes (size)",
    "COMMENT ON VIEW mine.names IS 'It''s mine'",
    "COMMENT ON COLUMN mine.names.size IS 'How much'",
    "ALTER VIEW mine.names ALTER COLUMN size SET DEFAULT 7",
    "GRANT SELECT ON mine.names TO dapkit_reader WITH GRANT OPTION",
    "GRANT UPDATE (name) ON mine.names TO PUBLIC",
    "GRANT SELECT ON mine.sizes TO dapkit_reader",
    "ALTER VIEW mine.of_names OWNER TO dapkit_owner",
    "REVOKE ALL ON mine.of_names FROM dapkit_owner",
    "CREATE FUNCTION mine.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER no_insert INSTEAD OF INSERT ON mine.names FOR EACH ROW EXECUTE FUNCTION mine.nothing()",
)
_STATE = """
SELECT view.relname, pg_get_userbyid(relowner), relkind, reloptions, pg_get_viewdef(view.oid),
    ARRAY(SELECT acl::text FROM unnest(relacl) AS acl ORDER BY 1), obj_description(view.oid, 'pg_class'),
    ARRAY(SELECT concat(attname, attacl, col_description(view.oid, attnum)) FROM pg_attribute
        WHERE attrelid = view.oid AND attnum > 0 ORDER BY attnum),
    ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = view.oid),
    ARRAY(SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = view.oid),
    ARRAY(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = view.oid)
FROM pg_class AS view WHERE relnamespace = 'mine'::regnamespace AND relkind IN ('v', 'm') ORDER BY 1
"""


@pytest.fixture
def views(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    roles = [
        f"DO $$BEGIN CREATE ROLE {name}; EXCEPTION WHEN duplicate_object THEN NULL; END$$"
        for name in ("dapkit_reader", "dapkit_owner")
    ]
    fixture.database.execute(*roles, "CREATE SCHEMA mine", "GRANT ALL ON SCHEMA mine TO dapkit_owner", *_VIEWS)


@pytest.mark.usefixtures("views")
@pytest.mark.parametrize("action", ["apply_increment", "full_refresh", "rebuild"])
def test_views_that_block_a_change_are_restored_unchanged(fixture: SqlTableFixture, action: str) -> None:
    before = fixture.database.query(_STATE)
    assert len(before) == 3
    if action == "apply_increment":
        fixture.apply_increment(WIDER, [ROWS[0] | {"size": 2**40}])
    elif action == "full_refresh":
        fixture.full_refresh(WIDER, ROWS)
    else:
        narrower = table_of(
            {"name": TEXT, "size": {"type": "integer", "format": "int16"}}, version=2, required=["size"]
        )
        fixture.full_refresh(narrower, ROWS)
    after = fixture.database.query(_STATE)
    assert after == before
    assert fixture.database.query("SELECT name FROM mine.names ORDER BY 1") == [("a",), ("b",)]
    assert fixture.database.query("SELECT count(*) FROM mine.sizes") == [(2,)]


def test_a_view_that_cannot_be_restored_rolls_everything_back(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute(
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine.half(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 / 2'",
        f"CREATE VIEW mine.halves AS SELECT mine.half(size) AS half FROM {THINGS}",
    )
    with pytest.raises(IncompatibleLayoutError, match=r"mine\.halves.*restored"):
        fixture.apply_increment(WIDER, ROWS)
    fixture.reopen()
    assert fixture.rows(TABLE) == ROWS
    assert fixture.state(TABLE).schema.version == 1
    assert fixture.database.query("SELECT half FROM mine.halves ORDER BY 1") == [(0,), (1,)]


def test_other_objects_that_depend_on_a_view_are_named(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute(
        "CREATE SCHEMA mine",
        f"CREATE VIEW mine.names AS SELECT name FROM {THINGS}",
        "CREATE FUNCTION mine.first() RETURNS SETOF mine.names LANGUAGE sql AS 'SELECT * FROM mine.names'",
    )
    with pytest.raises(IncompatibleLayoutError, match=r"mine\.names.*mine\.first"):
        fixture.apply_increment(WIDER, ROWS)


def test_a_view_that_blocks_nothing_is_not_dropped(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute("CREATE SCHEMA mine", f"CREATE VIEW mine.names AS SELECT name FROM {THINGS}")
    before = fixture.database.query("SELECT 'mine.names'::regclass::oid")
    fixture.apply_increment(table_of({"name": TEXT | {"maxLength": 5}, "size": INT32, "more": TEXT}, version=2), ROWS)
    assert fixture.database.query("SELECT 'mine.names'::regclass::oid") == before


def test_a_rebuilt_table_keeps_its_identity_indexes_and_grants(fixture: SqlTableFixture) -> None:
    fixture.initial_load(table_of({"name": TEXT, "state": ENUM}), [{"id": 1, "name": "1", "state": "b"}])
    fixture.database.execute(
        f"CREATE INDEX mine ON {THINGS} (name)",
        f"GRANT SELECT ON {THINGS} TO PUBLIC",
    )
    state = f"SELECT oid, relacl::text, relnatts FROM pg_class WHERE oid = '{THINGS}'::regclass"
    before = fixture.database.query(state)
    after = table_of({"name": INT32, "state": {"type": "string", "enum": ["x"]}}, version=2)
    row = {"id": 1, "name": 1, "state": "x"}
    fixture.full_refresh(after, [row])
    fixture.assert_holds(after, [row])
    assert fixture.database.query(state)[0][:2] == before[0][:2]
    assert fixture.database.query("SELECT 'canvas.mine'::regclass IS NOT NULL") == [(True,)]
    assert fixture.database.query(f"SELECT count(*) FROM pg_index WHERE indrelid = '{THINGS}'::regclass") == [(2,)]


def test_user_created_triggers_run_with_the_usual_search_path(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    body = "BEGIN INSERT INTO notes VALUES (NEW.id); RETURN NEW; END"
    fixture.database.execute(
        "CREATE SCHEMA public",
        "CREATE TABLE public.notes (id bigint)",
        f"CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS '{body}'",
        f"CREATE TRIGGER noted BEFORE INSERT ON {THINGS} FOR EACH ROW EXECUTE FUNCTION public.noted()",
    )
    fixture.apply_increment(TABLE, [{"id": 3}])
    assert fixture.database.query("SELECT id FROM public.notes") == [(3,)]


# Enums and lookup tables


def test_a_new_enum_value_is_used_in_the_load_that_adds_it(fixture: SqlTableFixture) -> None:
    fixture.initial_load(table_of({"state": ENUM}), [{"id": 1, "state": "a"}])
    more: Node = {"type": "string", "enum": ["a", "b", "new", "__dap_unspecified__"]}
    after = table_of({"state": more}, version=2)
    fixture.apply_increment(after, [{"id": 2, "state": "new"}])
    fixture.assert_holds(after, [{"id": 1, "state": "a"}, {"id": 2, "state": "new"}])


def test_new_values_of_an_open_enum_get_new_numbers_and_old_ones_keep_theirs(fixture: SqlTableFixture) -> None:
    table = table_of({"open": OPEN}, key={"id": INT32})
    fixture.initial_load(table, [{"id": 1, "open": "known"}, {"id": 2, "open": "new"}, {"id": 3, "open": "new"}])
    fixture.apply_increment(table, [{"id": 4, "open": "later"}, {"id": 5, "open": "known"}])
    lookup = dict(fixture.database.query("SELECT value, id FROM canvas.things__open"))
    assert set(lookup) == {"known", "new", "later"}
    rows = [lookup[value] for value in ("known", "new", "new", "later", "known")]
    assert [row[0] for row in fixture.database.query(f"SELECT open FROM {THINGS} ORDER BY id")] == rows


def test_dropping_a_table_drops_its_dependants_and_nothing_else(fixture: SqlTableFixture) -> None:
    fixture.initial_load(table_of({"state": ENUM, "open": OPEN}), [{"id": 1, "state": "a", "open": "x"}])
    other = table_of({"state": ENUM, "open": OPEN}, name="things__more")
    fixture.initial_load(other, [{"id": 1, "state": "b", "open": "y"}])
    fixture.session.drop("canvas", "things")
    fixture.assert_holds(other, [{"id": 1, "state": "b", "open": "y"}])
    names = "SELECT typname FROM pg_type WHERE typnamespace = 'canvas'::regnamespace AND typtype = 'e'"
    assert fixture.database.query(names) == [("things__more__state",)]


# Values


def test_only_the_file_with_a_bad_value_is_loaded_the_slow_way(fixture: SqlTableFixture) -> None:
    moment: Node = {"type": "string", "format": "date-time"}
    table = table_of({"name": TEXT, "at": moment, "states": {"type": "array", "items": ENUM}})
    rows = [
        {"id": 1, "name": "a\0b", "at": "2024-01-01T00:00:00Z", "states": ["a"]},
        {"id": 2, "name": "plain", "at": "+12024-01-01T00:00:00Z", "states": ["a", "unknown", None]},
        {"id": 3, "name": "plain", "at": "2024-01-01T00:00:00Z", "states": None},
    ]
    side = fixture.folder / "side.jsonl"
    parts = fixture.files(table, rows, action=False, files=3)
    counts = fixture.session.initial_load(fixture.load(table, parts, LoadOptions(side_file=side)))
    assert counts.written == 3
    assert counts.repaired == {"name": 1, "at": 1, "states": 1}
    lines = [json.loads(line) for line in side.read_text().splitlines()]
    assert {(line["key"]["id"], line["column"], line["value"]) for line in lines} == {
        ("1", "name", "a\0b"),
        ("2", "at", "+12024-01-01T00:00:00Z"),
        ("2", "states", '["a", "unknown", null]'),
    }
    found = fixture.rows(table)
    assert found[0]["name"] == "ab"
    assert found[1]["states"] == ["a", "__dap_unspecified__", None]


def test_originals_of_repaired_rows_with_a_repeated_key_are_kept_once(fixture: SqlTableFixture) -> None:
    table = table_of({"state": ENUM})
    side = fixture.folder / "side.jsonl"
    rows = [Row({"id": 1, "state": "new"}, f"2024-01-0{day}T00:00:00Z") for day in (1, 2)]
    counts = fixture.initial_load(table, rows, LoadOptions(side_file=side))
    assert counts.repaired == {"state": 2}
    assert len(side.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("node", "value", "words"),
    [
        (INT32, "one", ["v", "one"]),
        (INT32, str(2**31), ["v", str(2**31)]),
        (TEXT | {"maxLength": 3}, "four", ["v", "longer"]),
        ({"type": "string", "format": "date"}, "2024-02-30", ["v", "2024-02-30"]),
        ({"type": "array", "items": INT32}, "[1, true]", ["v", "true"]),
        (OPEN, "x" * 65, ["v", "too long"]),
        ({"type": "object"}, "{", ["v", "JSON"]),
    ],
)
def test_an_error_that_cannot_be_repaired_names_column_and_value(
    fixture: SqlTableFixture, node: Node, value: str, words: list[str]
) -> None:
    table = table_of({"before": TEXT, "v": node, "after": INT32})
    with pytest.raises(BadValueError) as caught:
        fixture.initial_load(table, [{"id": 1}, {"id": 2, "v": value}])
    for word in words:
        assert word in caught.value.message
    fixture.reopen()
    assert not fixture.exists("canvas", "things")


def test_an_unknown_escape_is_kept_literally(fixture: SqlTableFixture) -> None:
    parts = fixture.files(TABLE, [{"id": 1, "name": "\0"}], action=False)
    path = parts.paths[0]
    text = gzip.decompress(path.read_bytes()).replace(rb"\0", rb"\q\A")
    path.write_bytes(gzip.compress(text))
    counts = fixture.session.initial_load(fixture.load(TABLE, parts))
    assert not counts.repaired
    assert fixture.rows(TABLE)[0]["name"] == r"\q\A"


# Connections


def test_a_cut_connection_is_reported_as_unreachable(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    (pid,) = fixture.driver.query("SELECT pg_backend_pid()")[0]
    fixture.database.execute(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(TargetUnreachableError):
        fixture.apply_increment(TABLE, ROWS)
    fixture.reopen()
    fixture.apply_increment(TABLE, ROWS)


def test_keepalive_is_on_at_both_ends_and_there_is_no_statement_timeout(postgres_url: str) -> None:
    link = {"connect_timeout": "20", "keepalives_idle": "60", "tcp_user_timeout": "900000"}
    session = target_of(postgres_url).open()
    assert link.items() <= cast(PostgresDriver, session.driver)._connection.info.get_parameters().items()
    names = ("statement_timeout", "idle_session_timeout", "lock_timeout", "tcp_keepalives_idle", "TimeZone")
    wanted = ["0", "0", "10min", "60", "UTC"]
    assert [session.driver.query(f"SHOW {name}")[0][0] for name in names] == wanted
    assert session.driver.query("SHOW client_connection_check_interval") == [("10s",)]
    session.close()
    own = target_of(f"{postgres_url}?connect_timeout=7").open()
    assert cast(PostgresDriver, own.driver)._connection.info.get_parameters()["connect_timeout"] == "7"
    own.close()


def test_a_missing_privilege_is_named(fixture: SqlTableFixture, postgres_url: str) -> None:
    role = f"reader_{os.getpid()}"
    fixture.database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    parts = urlsplit(postgres_url)
    database = f"{parts.hostname}:{parts.port}{parts.path}"
    unprivileged = target_of(f"postgresql://{role}:secret@{database}").open()
    with pytest.raises(TargetPermissionError) as caught:
        unprivileged.prepare("catalog", sandbox=False)
    assert "Grant" in caught.value.hint
    unprivileged.close()
    fixture.database.execute(f"DROP ROLE {role}")


def test_a_lock_timeout_is_reported_as_busy(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.driver.query("SELECT set_config('lock_timeout', '50ms', false)")
    with fixture.database.connected() as other, other.transaction():
        other.execute(f"LOCK TABLE {THINGS} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TargetBusyError):
            fixture.apply_increment(TABLE, ROWS)
    fixture.apply_increment(TABLE, ROWS)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_without_tls_is_rejected_if_tls_is_required(postgres_url: str, mode: str) -> None:
    plain = target_of(f"{postgres_url}?ssl=prefer").open()
    encrypted = plain.driver.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    plain.close()
    if encrypted == [(True,)]:
        pytest.skip("the named server speaks TLS")
    with pytest.raises(TargetRejectedError):
        target_of(f"{postgres_url}?ssl={mode}").open()


def test_a_missing_database(postgres_url: str) -> None:
    with pytest.raises(TargetRejectedError, match="does not exist"):
        target_of(postgres_url + "_not").open()


def test_rows_are_invisible_to_others_before_the_commit(fixture: SqlTableFixture, postgres_url: str) -> None:
    fixture.initial_load(TABLE, ROWS)
    with psycopg.connect(postgres_url) as other:
        count = other.execute(f"SELECT count(*) FROM {THINGS}".encode()).fetchone()
        assert count == (2,)
        other.rollback()
        fixture.full_refresh(TABLE, ROWS[:1])
        assert other.execute(f"SELECT count(*) FROM {THINGS}".encode()).fetchone() == (1,)


def test_a_comparison_needs_only_read_privileges(fixture: SqlTableFixture) -> None:
    table = table_of({"color": ENUM, "kind": OPEN, "name": TEXT}, key={"code": ENUM})
    rows = [{"code": code, "color": "a", "kind": "known", "name": "x"} for code in ("a", "b")]
    fixture.initial_load(table, rows)
    expected = ExpectedTable(
        actual=fixture.state(table), snapshot=fixture.load(table, fixture.files(table, rows[1:], action=False))
    )
    reader = f"dapkit_reader_{os.getpid()}"
    spaces = "canvas, instructure_dap"
    fixture.database.execute(
        f"CREATE ROLE {reader}",
        f"GRANT USAGE ON SCHEMA {spaces} TO {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {spaces} TO {reader}",
    )
    try:
        fixture.driver.execute(f"SET ROLE {reader}")
        comparison = fixture.session.compare(expected)
        fixture.driver.execute("RESET ROLE")
    finally:
        fixture.database.execute(f"DROP OWNED BY {reader}", f"DROP ROLE {reader}")
    assert comparison.extra_keys == (("a",),)
    assert comparison.compared == 1
    assert fixture.database.query("SELECT count(*) FROM pg_class WHERE relname = 'things'") == [(1,)]


def test_leftovers_of_a_table_dropped_by_the_official_client_do_not_prevent_a_load(fixture: SqlTableFixture) -> None:
    table = table_of({"state": ENUM, "open": OPEN})
    row = {"id": 1, "state": "a", "open": "else"}
    fixture.initial_load(table, [row])
    fixture.database.execute(
        f"DROP TABLE {THINGS}",
        'ALTER TABLE "canvas"."things__open" DROP CONSTRAINT "uq_things__open"',
        "DELETE FROM instructure_dap.table_sync",
    )
    fixture.initial_load(table, [row, row | {"id": 2, "open": "known"}])
    fixture.assert_holds(table, [row, row | {"id": 2, "open": "known"}])
    assert fixture.database.query("SELECT value FROM canvas.things__open ORDER BY value") == [("else",), ("known",)]


def test_a_user_table_with_the_name_of_a_lookup_table_is_not_touched(fixture: SqlTableFixture) -> None:
    fixture.database.execute(
        "CREATE TABLE canvas.things__open (mine int)", "INSERT INTO canvas.things__open VALUES (7)"
    )
    with pytest.raises(TargetError):
        fixture.initial_load(table_of({"open": OPEN}), [{"id": 1, "open": "known"}])
    assert fixture.database.query("SELECT * FROM canvas.things__open") == [(7,)]
    assert fixture.session.sync_states("canvas") == {}


# Tables that their owner set up differently


def test_tables_of_a_publication_are_loaded_beyond_the_length_of_the_history(
    fixture: SqlTableFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_state, "HISTORY_LINES", 3)
    fixture.database.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    fixture.initial_load(TABLE, ROWS)
    for number in range(3, 9):
        fixture.apply_increment(TABLE, [{"id": number}, deleted(id=number - 1)])
    ((lines,),) = fixture.database.query("SELECT count(*) FROM instructure_dap.dapkit_history")
    assert lines == 3


def test_state_tables_from_before_get_keys(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    tables = ("dapkit_history", "dapkit_origin")
    fixture.database.execute(
        "ALTER TABLE instructure_dap.dapkit_history DROP COLUMN id",
        "ALTER TABLE instructure_dap.dapkit_origin DROP CONSTRAINT dapkit_origin_pkey",
    )
    fixture.session.prepare("canvas", sandbox=False)
    keys = "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'p' AND conrelid = ANY (%s::regclass[])"
    names = [f"instructure_dap.{table}" for table in tables]
    with fixture.database.connected() as driver:
        assert sorted(name for (name,) in driver.query(keys, (names,))) == names


def test_a_history_that_cannot_be_trimmed_fails_no_load(
    fixture: SqlTableFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_state, "HISTORY_LINES", 1)
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute(
        "CREATE FUNCTION canvas.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'never'; END$$",
        "CREATE TRIGGER keep BEFORE DELETE ON instructure_dap.dapkit_history EXECUTE FUNCTION canvas.refuse()",
    )
    for number in range(3, 6):
        fixture.apply_increment(TABLE, [{"id": number}])
    fixture.assert_holds(TABLE, [*ROWS, {"id": 3}, {"id": 4}, {"id": 5}])


@pytest.mark.parametrize("index", ["", f"CREATE UNIQUE INDEX ON {THINGS} (id, at)", f"CREATE INDEX ON {THINGS} (id)"])
def test_a_partitioned_table_keeps_following_the_service(fixture: SqlTableFixture, index: str) -> None:
    table = table_of({"at": {"type": "string", "format": "date-time"}, "name": TEXT})
    fixture.initial_load(
        table, [{"id": 1, "at": datetime(2024, 1, 1), "name": "a"}, {"id": 2, "at": datetime(2024, 2, 1)}]
    )
    fixture.database.execute(
        f"ALTER TABLE {THINGS} RENAME TO old",
        f'CREATE TABLE {THINGS} (LIKE "canvas"."old" INCLUDING DEFAULTS) PARTITION BY RANGE (at)',
        f"CREATE TABLE \"canvas\".january PARTITION OF {THINGS} FOR VALUES FROM (MINVALUE) TO ('2024-02-01')",
        f"CREATE TABLE \"canvas\".later PARTITION OF {THINGS} FOR VALUES FROM ('2024-02-01') TO (MAXVALUE)",
        f'INSERT INTO {THINGS} SELECT * FROM "canvas"."old"',
        'DROP TABLE "canvas"."old"',
        *([index] if index else []),
    )
    rows = [{"id": 1, "at": datetime(2024, 3, 1), "name": "b"}, {"id": 3, "at": datetime(2024, 1, 5)}]
    counts = fixture.apply_increment(table, [*rows, deleted(id=2)])
    assert (counts.written, counts.deleted) == (2, 1)
    fixture.assert_holds(table, rows)
    assert (fixture.session.list_tables("canvas", count=False)[0].bytes or 0) > 0
    rows.append({"id": 4, "at": datetime(2024, 1, 6)})
    fixture.full_refresh(table, rows)
    fixture.assert_holds(table, rows)


# Servers and databases that are set up differently


def test_readers_pass_while_a_change_waits_for_a_long_query(
    fixture: SqlTableFixture, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_driver, "_LOCK_TRY", "50ms")
    monkeypatch.setattr(postgres_driver, "_LOCK_PAUSE", 0.05)
    fixture.initial_load(TABLE, ROWS)
    with psycopg.connect(postgres_url) as long_query, ThreadPoolExecutor() as threads:
        long_query.execute(f"SELECT * FROM {THINGS}".encode())
        change = threads.submit(fixture.apply_increment, WIDER, [{"id": 3, "size": 2**40}])
        with psycopg.connect(postgres_url, autocommit=True) as reader:
            reader.execute("SET statement_timeout = '10s'")
            for _ in range(20):  # each waits for at most one try of the change
                reader.execute(f"SELECT count(*) FROM {THINGS}".encode())
                time.sleep(0.02)
        assert not change.done()
        long_query.rollback()
        assert change.result(60).written == 1


def test_a_table_that_is_always_in_use_is_busy(
    fixture: SqlTableFixture, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_driver, "_LOCK_TRY", "10ms")
    monkeypatch.setattr(postgres_driver, "_LOCK_WAIT", 0.0)
    fixture.initial_load(TABLE, ROWS)
    with psycopg.connect(postgres_url) as long_query:
        long_query.execute(f"SELECT * FROM {THINGS}".encode())
        with fixture.rejected(TABLE, TargetBusyError):
            fixture.apply_increment(WIDER, [{"id": 3}])


def test_settings_of_the_database_do_not_matter(fixture: SqlTableFixture, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    settings = {
        "default_transaction_isolation": "serializable", "DateStyle": "German", "IntervalStyle": "iso_8601",
        "TimeZone": "Asia/Tokyo", "bytea_output": "escape", "extra_float_digits": "0", "array_nulls": "off",
        "statement_timeout": "1s", "lock_timeout": "1", "standard_conforming_strings": "off",
        "client_encoding": "latin1",
    }  # fmt: skip
    try:
        for setting, value in settings.items():
            fixture.database.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        fixture.reopen()
        table = table_of({"at": {"type": "string", "format": "date-time"}, "name": TEXT, "list": LIST, "x": FLOAT})
        rows: list[Any] = [{"id": 1, "at": datetime(2024, 3, 1), "name": "ж\\n", "list": ["a", None], "x": 0.1}]
        fixture.initial_load(table, rows)
        fixture.apply_increment(table, [{"id": 2, "x": 1 / 3}])
        fixture.assert_holds(table, [*rows, {"id": 2, "x": 1 / 3}])
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())


def test_behind_a_pooler_settings_hold_for_transactions_only(
    fixture: SqlTableFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: -1))
    fixture.reopen()
    fixture.initial_load(TABLE, ROWS)
    fixture.apply_increment(WIDER, [{"id": 3, "size": 2**40}])
    fixture.assert_holds(WIDER, [*ROWS, {"id": 3, "size": 2**40}])
    ((outside,),) = fixture.driver.query("SHOW lock_timeout")
    with fixture.driver.transaction():
        ((within,),) = fixture.driver.query("SHOW lock_timeout")
    assert (outside, within) == ("0", "10min")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_rejected_before_any_load(
    fixture: SqlTableFixture, postgres_url: str, encoding: str
) -> None:
    server, _, name = postgres_url.rpartition("/")
    other = f"{name}_{encoding.lower()}"
    create = f"CREATE DATABASE {other} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(create.encode())
        try:
            session = target_of(f"{server}/{other}").open()
            with pytest.raises(IncompatibleLayoutError, match=f"encoding {encoding}") as caught:
                session.prepare("canvas", sandbox=False)
            session.close()
            assert "UTF8" in caught.value.hint
        finally:
            connection.execute(f"DROP DATABASE {other} WITH (FORCE)".encode())


@pytest.mark.parametrize(
    ("blocker", "named"),
    [
        (f"ALTER TABLE {THINGS} ADD double_size bigint GENERATED ALWAYS AS (size * 2) STORED", "double_size"),
        (f"CREATE POLICY mine ON {THINGS} USING (size > 0)", "mine"),
        ("CREATE PUBLICATION partly FOR TABLE canvas.things WHERE (size > 0)", "publication"),
    ],
)
def test_an_object_that_blocks_a_change_is_named_and_nothing_changes(
    fixture: SqlTableFixture, blocker: str, named: str
) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute(blocker)
    before = fixture.state(TABLE)
    with pytest.raises(TargetError, match=named) as caught:
        fixture.apply_increment(WIDER, [{"id": 3}])
    assert "Nothing was changed" in caught.value.hint
    assert fixture.state(TABLE) == before
    fixture.assert_rows(TABLE, ROWS)


def test_a_unique_index_of_the_user_is_named(fixture: SqlTableFixture) -> None:
    fixture.initial_load(TABLE, ROWS)
    fixture.database.execute(f"CREATE UNIQUE INDEX mine ON {THINGS} (name)")
    before = fixture.state(TABLE)
    with pytest.raises(TargetError, match="mine") as caught:
        fixture.apply_increment(TABLE, [{"id": 3, "name": "a"}])
    assert "unique index of your own" in caught.value.hint
    assert fixture.state(TABLE) == before
    fixture.assert_rows(TABLE, ROWS)


def test_an_unknown_parameter_of_the_connection_string_is_a_usage_error(postgres_url: str) -> None:
    with pytest.raises(UsageError, match="sslmod"):
        target_of(f"{postgres_url}?sslmod=require").open()


def test_a_row_without_a_partition_is_explained(fixture: SqlTableFixture) -> None:
    table = table_of({"size": INT32}, required=["size"])
    fixture.initial_load(table, [{"id": 1, "size": 1}])
    fixture.database.execute(
        f"ALTER TABLE {THINGS} RENAME TO old",
        f'CREATE TABLE {THINGS} (LIKE "canvas"."old") PARTITION BY RANGE (size)',
        f'ALTER TABLE {THINGS} ATTACH PARTITION "canvas"."old" FOR VALUES FROM (0) TO (10)',
    )
    with pytest.raises(TargetError) as caught:
        fixture.apply_increment(table, [{"id": 2, "size": 10}])
    assert "default partition" in caught.value.hint
