"""Contract: all or nothing. A failed load changes nothing, and foreign tables are not touched."""

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.table_fixture import SqlTableFixture, TableFixture, interrupted, stale
from tests.support.table_schemas import INT64, TEXT, table_of
from tests.support.tsv_parts import deleted

from dapkit.errors import (
    ConcurrentUpdateError,
    DapError,
    IncompatibleLayoutError,
    IntegrityError,
    SandboxMismatchError,
    TargetError,
)
from dapkit.targets.base import Load, TableStatus
from dapkit.targets.sql.dialect import STATE_SCHEMA

WIDER = table_of({"name": TEXT, "size": INT64, "more": TEXT}, version=2)


class SafetyContract:
    def test_a_wrong_row_count_rolls_the_load_back(self, fixture: TableFixture) -> None:
        files = fixture.files(TABLE, [A, B], action=False)
        with pytest.raises(IntegrityError):
            fixture.session.initial_load(fixture.load(TABLE, replace(files, rows=3)))
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        fixture.initial_load(TABLE, [A, B])
        changes = fixture.files(TABLE, [C, deleted(id=1)], action=True)
        with fixture.rejected(TABLE, IntegrityError):
            fixture.session.apply_increment(fixture.load(TABLE, replace(changes, rows=1)), fixture.state(TABLE))
        with fixture.rejected(TABLE, IntegrityError):
            fixture.session.full_refresh(fixture.load(TABLE, replace(files, rows=1)), fixture.state(TABLE))

    @pytest.mark.parametrize("damage", ["cut", "text", "columns", "value"])
    def test_a_damaged_file_rolls_the_load_back(self, fixture: TableFixture, damage: str) -> None:
        rows = [A | {"id": number} for number in range(300)]
        files = fixture.files(TABLE, rows, action=False, files=2)
        path = files.paths[1]
        data = path.read_bytes()
        lines = gzip.decompress(data).splitlines(keepends=True)
        match damage:
            case "cut":
                path.write_bytes(data[: len(data) // 2])
            case "text":
                path.write_bytes(b"".join(lines))
            case "columns":
                path.write_bytes(gzip.compress(b"".join(lines[:-1]) + b"2024-03-01T12:00:00Z\t1\n"))
            case "value":
                path.write_bytes(gzip.compress(b"".join(lines[:-1]) + b"2024-03-01T12:00:00Z\tone\ta\t1\n"))
        with pytest.raises(DapError):
            fixture.session.initial_load(fixture.load(TABLE, files))
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        fixture.initial_load(TABLE, [A])
        with fixture.rejected(TABLE):
            fixture.session.full_refresh(fixture.load(TABLE, files), fixture.state(TABLE))

    def test_a_null_in_a_required_column_is_rejected(self, fixture: TableFixture) -> None:
        if not fixture.database.support.constrained:
            pytest.skip("this database does not check")
        table = table_of({"name": TEXT}, required=["name"])
        fixture.initial_load(table, [{"id": 1, "name": "a"}])
        with fixture.rejected(table):
            fixture.apply_increment(table, [{"id": 2, "name": None}])

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_stale_watermark_changes_nothing(self, fixture: TableFixture, action: str) -> None:
        fixture.initial_load(TABLE, [A])
        load = fixture.load(WIDER, fixture.files(WIDER, [B, C], action=action == "apply_increment"))
        with fixture.rejected(TABLE, ConcurrentUpdateError):
            if action == "apply_increment":
                fixture.session.apply_increment(load, stale(fixture.state(TABLE)))
            else:
                fixture.session.full_refresh(load, stale(fixture.state(TABLE)))

    def test_a_table_dropped_before_the_load_is_a_concurrent_update(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        before = fixture.state(TABLE)
        fixture.session.drop("canvas", "things")
        with pytest.raises(ConcurrentUpdateError):
            fixture.session.apply_increment(fixture.load(TABLE, fixture.files(TABLE, [B], action=True)), before)
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_only_one_of_two_sessions_applies_the_same_increment(self, fixture: TableFixture, action: str) -> None:
        rows = [A | {"id": number} for number in range(2000)]
        fixture.initial_load(TABLE, rows[:1000])
        before = fixture.state(TABLE)
        changed = [row | {"name": "changed"} for row in rows]
        load = fixture.load(TABLE, fixture.files(TABLE, changed, action=action == "apply_increment"))
        results = self._concurrently(fixture, lambda session: getattr(session, action)(load, before))
        assert sorted(results) == ["ConcurrentUpdateError", "done"]
        fixture.assert_holds(TABLE, changed)

    def _concurrently(self, fixture: TableFixture, act: Callable[..., object]) -> list[str]:
        """Let two sessions act at the same time, and return how each ended."""
        barrier = Barrier(2)

        def run() -> str:
            session = fixture.database.open()
            try:
                barrier.wait(10)
                act(session)
            except TargetError as error:
                return type(error).__name__
            else:
                return "done"
            finally:
                session.close()

        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(run) for _ in range(2)]
            return [end.result(30) for end in ends]

    def test_the_sandbox_does_not_write_to_a_database_of_the_service(self, fixture: TableFixture) -> None:
        assert not fixture.session.holds_sandbox()
        fixture.session.require_origin(sandbox=True)  # the database is still empty
        fixture.initial_load(TABLE, [A])
        assert not fixture.session.holds_sandbox()
        fixture.session.require_origin(sandbox=False)
        with pytest.raises(SandboxMismatchError):
            fixture.session.require_origin(sandbox=True)
        with pytest.raises(SandboxMismatchError):
            fixture.session.prepare("canvas", sandbox=True)
        fixture.reopen()
        fixture.session.prepare("canvas", sandbox=False)
        fixture.apply_increment(TABLE, [B])

    def test_the_service_does_not_write_to_a_database_of_the_sandbox(self, fixture: TableFixture) -> None:
        for _ in range(2):  # the database is still empty, so it may be marked
            fixture.session.prepare("canvas", sandbox=True)
        fixture.initial_load(TABLE, [A])
        with pytest.raises(SandboxMismatchError):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.reopen()
        assert fixture.session.holds_sandbox()
        fixture.session.require_origin(sandbox=True)
        with pytest.raises(SandboxMismatchError):
            fixture.session.require_origin(sandbox=False)
        with pytest.raises(SandboxMismatchError):
            fixture.session.prepare("catalog", sandbox=False)
        fixture.reopen()
        fixture.session.prepare("canvas", sandbox=True)
        fixture.apply_increment(TABLE, [B])


class SqlSafetyContract(SafetyContract):
    @pytest.mark.parametrize("action", ["initial_load", "apply_increment", "full_refresh", "alter", "rebuild"])
    def test_an_interruption_at_any_step_leaves_the_table_unchanged(
        self, fixture: SqlTableFixture, action: str
    ) -> None:
        if action != "initial_load":
            fixture.initial_load(TABLE, [A, B])
        rebuilt = table_of({"size": TEXT}, version=2)
        table = {"alter": WIDER, "rebuild": rebuilt}.get(action, TABLE)
        increment = action in ("apply_increment", "alter")
        # A repeated key adds the steps that choose between its rows.
        rows = [C | {"size": 5}, A, A] + ([deleted(id=2)] if increment else [])
        files = fixture.files(table, rows, action=increment)
        for step in range(1, 100):
            load = fixture.load(table, files)
            with interrupted(fixture.session, step) as interruption:
                self._run(fixture, action, load)
            if not interruption.happened:
                break
            fixture.reopen()
            if action == "initial_load":
                assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
            else:
                assert fixture.rows(TABLE) == [A, B]
                assert fixture.state(TABLE).schema.version == 1
        else:
            pytest.fail("the load never completed")
        fixture.assert_holds(
            table, [A | {"size": "1"}, C | {"size": "5"}] if action == "rebuild" else [A, C | {"size": 5}]
        )

    def _run(self, fixture: SqlTableFixture, action: str, load: Load) -> None:
        if action == "initial_load":
            fixture.session.initial_load(load)
        elif action in ("apply_increment", "alter"):
            fixture.session.apply_increment(load, fixture.state(load.table))
        else:
            fixture.session.full_refresh(load, fixture.state(load.table))

    def test_an_initial_load_rejects_an_existing_table(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        with fixture.rejected(TABLE, TargetError):
            fixture.initial_load(TABLE, [B])
        mine = fixture.name("canvas", "mine")
        fixture.database.execute(f"CREATE TABLE {mine} (id INTEGER)", f"INSERT INTO {mine} VALUES (1)")
        assert fixture.session.status("canvas", "mine") is TableStatus.UNMANAGED
        with pytest.raises(TargetError):
            fixture.initial_load(table_of({"name": TEXT}, name="mine"), [B])
        fixture.reopen()
        assert fixture.database.query(f"SELECT * FROM {mine}") == [(1,)]
        assert fixture.session.status("canvas", "mine") is TableStatus.UNMANAGED

    def test_only_one_of_two_sessions_loads_the_same_new_table(self, fixture: SqlTableFixture) -> None:
        load = fixture.load(TABLE, fixture.files(TABLE, [A, B], action=False))
        results = self._concurrently(fixture, lambda session: session.initial_load(load))
        assert "done" in results
        assert results != ["done", "done"]
        fixture.assert_holds(TABLE, [A, B])
        assert len(fixture.database.query(f"SELECT 1 FROM {fixture.state_table('table_sync')}")) == 1

    def test_preparing_again_is_harmless(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        for _ in range(2):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.session.prepare("new_quizzes", sandbox=False)
        fixture.assert_holds(TABLE, [A])
        version = fixture.state_table("database_version")
        assert [int(row[0]) for row in fixture.database.query(f"SELECT version FROM {version}")] == [1]

    def test_sync_state_of_version_0_is_rejected_unchanged(self, fixture: SqlTableFixture) -> None:
        fixture.database.execute(
            *fixture.dialect.create_namespace("catalog"),
            f"CREATE TABLE {fixture.name('catalog', 'dap_meta')} (id INTEGER)",
        )
        before = self._state_tables(fixture)
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("catalog", sandbox=False)
        fixture.reopen()
        assert self._state_tables(fixture) == before

    @pytest.mark.parametrize("versions", [(1,), (2,)])
    def test_sync_state_with_two_versions_is_rejected_unchanged(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        table = fixture.state_table("database_version")
        fixture.database.execute(*(f"INSERT INTO {table} (version) VALUES ({version})" for version in versions))
        before = self._state_tables(fixture)
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.reopen()
        assert self._state_tables(fixture) == before

    def test_sync_state_of_a_later_version_is_rejected_unchanged(self, fixture: SqlTableFixture) -> None:
        table = fixture.state_table("database_version")
        fixture.database.execute(f"UPDATE {table} SET version = 2")
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("canvas", sandbox=False)

    def test_sync_state_without_a_version_is_rejected(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(f"DELETE FROM {fixture.state_table('database_version')}")
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.reopen()
        fixture.assert_holds(TABLE, [A])

    def _state_tables(self, fixture: SqlTableFixture) -> dict[str, list[tuple[object, ...]] | None]:
        names = ("table_sync", "database_version", "dapkit_origin", "dapkit_history")
        return {
            name: fixture.database.query(f"SELECT * FROM {fixture.state_table(name)}")
            if fixture.exists(STATE_SCHEMA, name)
            else None
            for name in names
        }
