"""Part of the contract: all or nothing. What fails leaves no trace, what is not ours is not touched."""

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.table_fixture import Scene, interrupted, stale
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
    # Failures

    def test_rows_that_are_fewer_than_counted_leave_nothing_behind(self, scene: Scene) -> None:
        parts = scene.parts(TABLE, [A, B], action=False)
        with pytest.raises(IntegrityError):
            scene.session.initialise(scene.load(TABLE, replace(parts, rows=3)))
        scene.reopen()
        assert scene.session.status("canvas", "things") is TableStatus.ABSENT
        scene.initialise(TABLE, [A, B])
        changes = scene.parts(TABLE, [C, deleted(id=1)], action=True)
        with scene.refused(TABLE, IntegrityError):
            scene.session.change(scene.load(TABLE, replace(changes, rows=1)), scene.state_table(TABLE))
        with scene.refused(TABLE, IntegrityError):
            scene.session.replace(scene.load(TABLE, replace(parts, rows=1)), scene.state_table(TABLE))

    @pytest.mark.parametrize("harm", ["cut", "text", "columns", "value"])
    def test_harmed_files_leave_nothing_behind(self, scene: Scene, harm: str) -> None:
        rows = [A | {"id": number} for number in range(300)]
        parts = scene.parts(TABLE, rows, action=False, files=2)
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
            scene.session.initialise(scene.load(TABLE, parts))
        scene.reopen()
        assert scene.session.status("canvas", "things") is TableStatus.ABSENT
        scene.initialise(TABLE, [A])
        with scene.refused(TABLE):
            scene.session.replace(scene.load(TABLE, parts), scene.state_table(TABLE))

    def test_a_null_where_none_may_be(self, scene: Scene) -> None:
        if not scene.place.capabilities.constrained:
            pytest.skip("this database does not look")
        table = table_of({"name": TEXT}, required=["name"])
        scene.initialise(table, [{"id": 1, "name": "a"}])
        with scene.refused(table):
            scene.change(table, [{"id": 2, "name": None}])

    @pytest.mark.parametrize("action", ["initialise", "change", "replace", "alter", "rebuild"])
    def test_a_break_at_any_step_leaves_the_table_as_it_was(self, scene: Scene, action: str) -> None:
        if action != "initialise":
            scene.initialise(TABLE, [A, B])
        rebuilt = table_of({"size": TEXT}, version=2)
        table = {"alter": WIDER, "rebuild": rebuilt}.get(action, TABLE)
        increment = action in ("change", "alter")
        # A repeated key brings the steps that choose between its rows.
        rows = [C | {"size": 5}, A, A] + ([deleted(id=2)] if increment else [])
        parts = scene.parts(table, rows, action=increment)
        for step in range(1, 100):
            load = scene.load(table, parts)
            with interrupted(scene.session, step) as breaks:
                self._run(scene, action, load)
            if not breaks.happened:
                break
            scene.reopen()
            if action == "initialise":
                assert scene.session.status("canvas", "things") is TableStatus.ABSENT
            else:
                assert scene.rows(TABLE) == [A, B]
                assert scene.state_table(TABLE).schema.version == 1
        else:
            pytest.fail("it never came to its end")
        scene.holds(table, [A | {"size": "1"}, C | {"size": "5"}] if action == "rebuild" else [A, C | {"size": 5}])

    def _run(self, scene: Scene, action: str, load: Load) -> None:
        if action == "initialise":
            scene.session.initialise(load)
        elif action in ("change", "alter"):
            scene.session.change(load, scene.state_table(load.table))
        else:
            scene.session.replace(load, scene.state_table(load.table))

    def test_a_table_that_is_there_already_is_not_initialised(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        with scene.refused(TABLE, TargetError):
            scene.initialise(TABLE, [B])
        mine = scene.session.dialect.name("canvas", "mine")
        scene.place.execute(f"CREATE TABLE {mine} (id INTEGER)", f"INSERT INTO {mine} VALUES (1)")
        assert scene.session.status("canvas", "mine") is TableStatus.UNMANAGED
        with pytest.raises(TargetError):
            scene.initialise(table_of({"name": TEXT}, name="mine"), [B])
        scene.reopen()
        assert scene.place.ask(f"SELECT * FROM {mine}") == [(1,)]
        assert scene.session.status("canvas", "mine") is TableStatus.UNMANAGED

    # Others at work

    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_a_stale_watermark_changes_nothing(self, scene: Scene, action: str) -> None:
        scene.initialise(TABLE, [A])
        load = scene.load(WIDER, scene.parts(WIDER, [B, C], action=action == "change"))
        with scene.refused(TABLE, ConcurrentUpdateError):
            if action == "change":
                scene.session.change(load, stale(scene.state_table(TABLE)))
            else:
                scene.session.replace(load, stale(scene.state_table(TABLE)))

    def test_a_table_that_was_dropped_meanwhile(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        before = scene.state_table(TABLE)
        scene.session.drop("canvas", "things")
        with pytest.raises(ConcurrentUpdateError):
            scene.session.change(scene.load(TABLE, scene.parts(TABLE, [B], action=True)), before)
        scene.reopen()
        assert scene.session.status("canvas", "things") is TableStatus.ABSENT

    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_of_two_sessions_with_the_same_increment_one_wins(self, scene: Scene, action: str) -> None:
        rows = [A | {"id": number} for number in range(2000)]
        scene.initialise(TABLE, rows[:1000])
        before = scene.state_table(TABLE)
        changed = [row | {"name": "changed"} for row in rows]
        load = scene.load(TABLE, scene.parts(TABLE, changed, action=action == "change"))
        results = self._together(scene, lambda session: getattr(session, action)(load, before))
        assert sorted(results) == ["ConcurrentUpdateError", "done"]
        scene.holds(TABLE, changed)

    def test_of_two_sessions_that_initialise_the_same_table_one_wins(self, scene: Scene) -> None:
        load = scene.load(TABLE, scene.parts(TABLE, [A, B], action=False))
        results = self._together(scene, lambda session: session.initialise(load))
        assert "done" in results
        assert results != ["done", "done"]
        scene.holds(TABLE, [A, B])
        assert len(scene.place.ask(f"SELECT 1 FROM {scene.session.dialect.state_table('table_sync')}")) == 1

    def _together(self, scene: Scene, act: Callable[..., object]) -> list[str]:
        """Let two sessions act at the same moment and return how each ended."""
        barrier = Barrier(2)

        def run() -> str:
            session = scene.place.open()
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

    # What is not ours

    def test_preparing_again_is_harmless(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        for _ in range(2):
            scene.session.prepare("canvas", sandbox=False)
        scene.session.prepare("new_quizzes", sandbox=False)
        scene.holds(TABLE, [A])
        version = scene.session.dialect.state_table("database_version")
        assert [int(row[0]) for row in scene.place.ask(f"SELECT version FROM {version}")] == [1]

    def test_a_sandbox_does_not_write_to_what_is_the_services(self, scene: Scene) -> None:
        assert not scene.session.holds_sandbox()
        scene.session.require_origin(sandbox=True)  # nothing is there yet
        scene.initialise(TABLE, [A])
        assert not scene.session.holds_sandbox()
        scene.session.require_origin(sandbox=False)
        with pytest.raises(SandboxMismatchError):
            scene.session.require_origin(sandbox=True)
        with pytest.raises(SandboxMismatchError):
            scene.session.prepare("canvas", sandbox=True)
        scene.reopen()
        scene.session.prepare("canvas", sandbox=False)
        scene.change(TABLE, [B])

    def test_the_service_does_not_write_to_what_is_a_sandboxs(self, scene: Scene) -> None:
        for _ in range(2):  # nothing is there yet, so the mark may be set
            scene.session.prepare("canvas", sandbox=True)
        scene.initialise(TABLE, [A])
        with pytest.raises(SandboxMismatchError):
            scene.session.prepare("canvas", sandbox=False)
        scene.reopen()
        assert scene.session.holds_sandbox()
        scene.session.require_origin(sandbox=True)
        with pytest.raises(SandboxMismatchError):
            scene.session.require_origin(sandbox=False)
        with pytest.raises(SandboxMismatchError):
            scene.session.prepare("catalog", sandbox=False)
        scene.reopen()
        scene.session.prepare("canvas", sandbox=True)
        scene.change(TABLE, [B])

    def test_books_of_version_0_are_refused_untouched(self, scene: Scene) -> None:
        dialect = scene.session.dialect
        scene.place.execute(
            *dialect.create_namespace("catalog"), f"CREATE TABLE {dialect.name('catalog', 'dap_meta')} (id INTEGER)"
        )
        before = self._books(scene)
        with pytest.raises(IncompatibleLayoutError):
            scene.session.prepare("catalog", sandbox=False)
        scene.reopen()
        assert self._books(scene) == before

    @pytest.mark.parametrize("versions", [(1,), (2,)])
    def test_books_of_two_versions_are_refused_untouched(self, scene: Scene, versions: tuple[int, ...]) -> None:
        table = scene.session.dialect.state_table("database_version")
        scene.place.execute(*(f"INSERT INTO {table} (version) VALUES ({version})" for version in versions))
        before = self._books(scene)
        with pytest.raises(IncompatibleLayoutError):
            scene.session.prepare("canvas", sandbox=False)
        scene.reopen()
        assert self._books(scene) == before

    def test_books_of_a_later_version_are_refused_untouched(self, scene: Scene) -> None:
        table = scene.session.dialect.state_table("database_version")
        scene.place.execute(f"UPDATE {table} SET version = 2")
        with pytest.raises(IncompatibleLayoutError):
            scene.session.prepare("canvas", sandbox=False)

    def test_books_with_tables_but_without_a_version_are_refused(self, scene: Scene) -> None:
        scene.initialise(TABLE, [A])
        scene.place.execute(f"DELETE FROM {scene.session.dialect.state_table('database_version')}")
        with pytest.raises(IncompatibleLayoutError):
            scene.session.prepare("canvas", sandbox=False)
        scene.reopen()
        scene.holds(TABLE, [A])

    def _books(self, scene: Scene) -> dict[str, list[tuple[object, ...]] | None]:
        names = ("table_sync", "database_version", "dapkit_origin", "dapkit_history")
        return {
            name: scene.place.ask(f"SELECT * FROM {scene.session.dialect.state_table(name)}")
            if scene.session.exists(STATE_SCHEMA, name)
            else None
            for name in names
        }
