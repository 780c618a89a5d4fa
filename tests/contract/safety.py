"""Part of the contract: all or nothing. What fails leaves no trace, what is not ours is not touched."""

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
    def test_rows_that_are_fewer_than_counted_leave_nothing_behind(self, fixture: TableFixture) -> None:
        parts = fixture.parts(TABLE, [A, B], action=False)
        with pytest.raises(IntegrityError):
            fixture.session.initial_load(fixture.load(TABLE, replace(parts, rows=3)))
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        fixture.initial_load(TABLE, [A, B])
        changes = fixture.parts(TABLE, [C, deleted(id=1)], action=True)
        with fixture.refused(TABLE, IntegrityError):
            fixture.session.apply_increment(fixture.load(TABLE, replace(changes, rows=1)), fixture.state(TABLE))
        with fixture.refused(TABLE, IntegrityError):
            fixture.session.full_refresh(fixture.load(TABLE, replace(parts, rows=1)), fixture.state(TABLE))

    @pytest.mark.parametrize("harm", ["cut", "text", "columns", "value"])
    def test_harmed_files_leave_nothing_behind(self, fixture: TableFixture, harm: str) -> None:
        rows = [A | {"id": number} for number in range(300)]
        parts = fixture.parts(TABLE, rows, action=False, files=2)
        path = parts.paths[1]
        data = path.read_bytes()
        lines = gzip.decompress(data).splitlines(keepends=True)
        match harm:
            case "cut":
                path.write_bytes(data[: len(data) // 2])
            case "text":
                path.write_bytes(b"".join(lines))
            case "columns":
                path.write_bytes(gzip.compress(b"".join(lines[:-1]) + b"2024-03-01T12:00:00Z\t1\n"))
            case "value":
                path.write_bytes(gzip.compress(b"".join(lines[:-1]) + b"2024-03-01T12:00:00Z\tone\ta\t1\n"))
        with pytest.raises(DapError):
            fixture.session.initial_load(fixture.load(TABLE, parts))
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        fixture.initial_load(TABLE, [A])
        with fixture.refused(TABLE):
            fixture.session.full_refresh(fixture.load(TABLE, parts), fixture.state(TABLE))

    def test_a_null_where_none_may_be(self, fixture: TableFixture) -> None:
        if not fixture.database.support.constrained:
            pytest.skip("this database does not look")
        table = table_of({"name": TEXT}, required=["name"])
        fixture.initial_load(table, [{"id": 1, "name": "a"}])
        with fixture.refused(table):
            fixture.apply_increment(table, [{"id": 2, "name": None}])

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_stale_watermark_changes_nothing(self, fixture: TableFixture, action: str) -> None:
        fixture.initial_load(TABLE, [A])
        load = fixture.load(WIDER, fixture.parts(WIDER, [B, C], action=action == "apply_increment"))
        with fixture.refused(TABLE, ConcurrentUpdateError):
            if action == "apply_increment":
                fixture.session.apply_increment(load, stale(fixture.state(TABLE)))
            else:
                fixture.session.full_refresh(load, stale(fixture.state(TABLE)))

    def test_a_table_that_was_dropped_meanwhile(self, fixture: TableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        before = fixture.state(TABLE)
        fixture.session.drop("canvas", "things")
        with pytest.raises(ConcurrentUpdateError):
            fixture.session.apply_increment(fixture.load(TABLE, fixture.parts(TABLE, [B], action=True)), before)
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.ABSENT

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_of_two_sessions_with_the_same_increment_one_wins(self, fixture: TableFixture, action: str) -> None:
        rows = [A | {"id": number} for number in range(2000)]
        fixture.initial_load(TABLE, rows[:1000])
        before = fixture.state(TABLE)
        changed = [row | {"name": "changed"} for row in rows]
        load = fixture.load(TABLE, fixture.parts(TABLE, changed, action=action == "apply_increment"))
        results = self._together(fixture, lambda session: getattr(session, action)(load, before))
        assert sorted(results) == ["ConcurrentUpdateError", "done"]
        fixture.holds(TABLE, changed)

    def _together(self, fixture: TableFixture, act: Callable[..., object]) -> list[str]:
        """Let two sessions act at the same moment and return how each ended."""
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

    def test_a_sandbox_does_not_write_to_what_is_the_services(self, fixture: TableFixture) -> None:
        assert not fixture.session.holds_sandbox()
        fixture.session.require_origin(sandbox=True)  # nothing is there yet
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

    def test_the_service_does_not_write_to_what_is_a_sandboxs(self, fixture: TableFixture) -> None:
        for _ in range(2):  # nothing is there yet, so the mark may be set
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
    def test_a_break_at_any_step_leaves_the_table_as_it_was(self, fixture: SqlTableFixture, action: str) -> None:
        if action != "initial_load":
            fixture.initial_load(TABLE, [A, B])
        rebuilt = table_of({"size": TEXT}, version=2)
        table = {"alter": WIDER, "rebuild": rebuilt}.get(action, TABLE)
        increment = action in ("apply_increment", "alter")
        # A repeated key brings the steps that choose between its rows.
        rows = [C | {"size": 5}, A, A] + ([deleted(id=2)] if increment else [])
        parts = fixture.parts(table, rows, action=increment)
        for step in range(1, 100):
            load = fixture.load(table, parts)
            with interrupted(fixture.session, step) as breaks:
                self._run(fixture, action, load)
            if not breaks.happened:
                break
            fixture.reopen()
            if action == "initial_load":
                assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
            else:
                assert fixture.rows(TABLE) == [A, B]
                assert fixture.state(TABLE).schema.version == 1
        else:
            pytest.fail("it never came to its end")
        fixture.holds(table, [A | {"size": "1"}, C | {"size": "5"}] if action == "rebuild" else [A, C | {"size": 5}])

    def _run(self, fixture: SqlTableFixture, action: str, load: Load) -> None:
        if action == "initial_load":
            fixture.session.initial_load(load)
        elif action in ("apply_increment", "alter"):
            fixture.session.apply_increment(load, fixture.state(load.table))
        else:
            fixture.session.full_refresh(load, fixture.state(load.table))

    def test_a_table_that_is_there_already_is_not_initialised(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        with fixture.refused(TABLE, TargetError):
            fixture.initial_load(TABLE, [B])
        mine = fixture.name("canvas", "mine")
        fixture.database.execute(f"CREATE TABLE {mine} (id INTEGER)", f"INSERT INTO {mine} VALUES (1)")
        assert fixture.session.status("canvas", "mine") is TableStatus.UNMANAGED
        with pytest.raises(TargetError):
            fixture.initial_load(table_of({"name": TEXT}, name="mine"), [B])
        fixture.reopen()
        assert fixture.database.ask(f"SELECT * FROM {mine}") == [(1,)]
        assert fixture.session.status("canvas", "mine") is TableStatus.UNMANAGED

    def test_of_two_sessions_that_initialise_the_same_table_one_wins(self, fixture: SqlTableFixture) -> None:
        load = fixture.load(TABLE, fixture.parts(TABLE, [A, B], action=False))
        results = self._together(fixture, lambda session: session.initial_load(load))
        assert "done" in results
        assert results != ["done", "done"]
        fixture.holds(TABLE, [A, B])
        assert len(fixture.database.ask(f"SELECT 1 FROM {fixture.state_table('table_sync')}")) == 1

    def test_preparing_again_is_harmless(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        for _ in range(2):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.session.prepare("new_quizzes", sandbox=False)
        fixture.holds(TABLE, [A])
        version = fixture.state_table("database_version")
        assert [int(row[0]) for row in fixture.database.ask(f"SELECT version FROM {version}")] == [1]

    def test_books_of_version_0_are_refused_untouched(self, fixture: SqlTableFixture) -> None:
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
    def test_books_of_two_versions_are_refused_untouched(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        table = fixture.state_table("database_version")
        fixture.database.execute(*(f"INSERT INTO {table} (version) VALUES ({version})" for version in versions))
        before = self._state_tables(fixture)
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.reopen()
        assert self._state_tables(fixture) == before

    def test_books_of_a_later_version_are_refused_untouched(self, fixture: SqlTableFixture) -> None:
        table = fixture.state_table("database_version")
        fixture.database.execute(f"UPDATE {table} SET version = 2")
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("canvas", sandbox=False)

    def test_books_with_tables_but_without_a_version_are_refused(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(f"DELETE FROM {fixture.state_table('database_version')}")
        with pytest.raises(IncompatibleLayoutError):
            fixture.session.prepare("canvas", sandbox=False)
        fixture.reopen()
        fixture.holds(TABLE, [A])

    def _state_tables(self, fixture: SqlTableFixture) -> dict[str, list[tuple[object, ...]] | None]:
        names = ("table_sync", "database_version", "dapkit_origin", "dapkit_history")
        return {
            name: fixture.database.ask(f"SELECT * FROM {fixture.state_table(name)}")
            if fixture.exists(STATE_SCHEMA, name)
            else None
            for name in names
        }
