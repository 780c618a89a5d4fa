"""Part of the contract: a table with rows and no line in the books is filled anew, or refused without a touch."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.contract.table_fixture import Scene
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.errors import ConcurrentUpdateError, IncompatibleLayoutError
from dapkit.model import Table
from dapkit.targets.base import TableStatus

SHORT = TEXT | {"maxLength": 5}
PRICE: Node = {"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1000, "exclusiveMaximum": 1000}
VALUE: dict[str, Any] = {
    "name": SHORT,
    "size": INT32,
    "state": {"type": "string", "enum": ["a", "b"]},
    "open": {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]},
    "price": PRICE,
    "marks": {"type": "array", "items": INT32},
    "more": {},
    "note": TEXT | {"default": "it's \\ none"},
}
TABLE = table_of(VALUE, required=["note"])
ROWS = [
    {"id": number, "name": f"n{number}", "state": "a", "open": "known", "marks": [number], "note": "n"}
    for number in range(1, 4)
]
OLD = {"id": 9, "name": "gone", "size": 9, "state": "b", "open": "else", "note": "n"}


def other(required: tuple[str, ...] = ("note",), without: str = "", **more: Any) -> Table:
    """Return a table that is like the usual one but for something."""
    return table_of({name: node for name, node in (VALUE | more).items() if name != without}, required=required)


DIFFERENT: dict[str, Callable[[], Table]] = {
    "column more": lambda: other(mine=TEXT),
    "column less": lambda: other(without="size"),
    "another type": lambda: other(size=TEXT),
    "required": lambda: other(required=("note", "name")),
    "not required": lambda: other(required=()),
    "another default": lambda: other(note=TEXT | {"default": "other"}),
    "no default": lambda: other(note=TEXT),
}


class RepairsContract:
    def test_a_half_loaded_table_becomes_equal_to_the_snapshot(self, scene: Scene) -> None:
        self._half_loaded(scene, TABLE, [*ROWS[1:2], ROWS[2] | {"name": "old"}, OLD])
        view = scene.session.dialect.name("canvas", "mine")
        scene.place.execute(f"CREATE VIEW {view} AS SELECT name FROM {scene.session.dialect.of(TABLE)}")
        counts = scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))
        assert (counts.written, counts.deleted) == (3, 1)
        scene.holds(TABLE, ROWS)
        assert scene.place.ask(f"SELECT count(*) FROM {view}") == [(3,)]
        scene.change(TABLE, [OLD])
        scene.holds(TABLE, [*ROWS, OLD])

    def test_an_index_of_the_users_own_is_in_nobodys_way(self, scene: Scene) -> None:
        self._half_loaded(scene, TABLE, ROWS)
        scene.place.execute(f"CREATE INDEX mine ON {scene.session.dialect.of(TABLE)} (size)")
        scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS[:2], action=False)))
        scene.holds(TABLE, ROWS[:2])

    @pytest.mark.parametrize("difference", DIFFERENT)
    def test_a_table_that_differs_is_refused_untouched(self, scene: Scene, difference: str) -> None:
        self._refused(scene, DIFFERENT[difference]())

    @pytest.mark.parametrize(
        "node",
        [{"size": INT64}, {"price": PRICE | {"multipleOf": 0.1}}, {"name": TEXT | {"maxLength": 6}}],
        ids=["wider", "scale", "length"],
    )
    def test_a_type_that_the_database_tells_from_ours(self, scene: Scene, node: dict[str, Any]) -> None:
        found, dialect = other(**node), scene.session.dialect
        types = [[dialect.type_of(table, column) for column in table.columns] for table in (TABLE, found)]
        if types[0] == types[1]:
            pytest.skip("it has one type for both")
        self._refused(scene, found)

    def test_a_table_without_the_key_is_refused_untouched(self, scene: Scene) -> None:
        if not scene.place.capabilities.keyed:
            pytest.skip("its tables have no key")
        self._half_loaded(scene, TABLE, ROWS)
        live, copy = scene.session.dialect.of(TABLE), scene.session.dialect.name("canvas", "copy")
        scene.place.execute(f"CREATE TABLE {copy} AS SELECT * FROM {live}", f"DROP TABLE {live}")
        scene.place.execute(f"CREATE TABLE {live} AS SELECT * FROM {copy}")
        self._is_refused(scene, f"SELECT * FROM {live}")

    def test_a_view_of_that_name_is_refused(self, scene: Scene) -> None:
        dialect = scene.session.dialect
        self._half_loaded(scene, table_of(VALUE, required=["note"], name="others"), ROWS)
        scene.place.execute(f"CREATE VIEW {dialect.of(TABLE)} AS SELECT * FROM {dialect.name('canvas', 'others')}")
        self._is_refused(scene, f"SELECT * FROM {dialect.name('canvas', 'others')}")

    def test_a_table_that_somebody_else_has_put_on_the_books_meanwhile_stays_theirs(self, scene: Scene) -> None:
        self._half_loaded(scene, TABLE, ROWS)
        load = scene.load(TABLE, scene.parts(TABLE, ROWS, action=False))
        scene.session.repair(load)
        with pytest.raises(ConcurrentUpdateError):
            scene.session.repair(load)
        scene.reopen()
        scene.holds(TABLE, ROWS)
        assert scene.place.ask(f"SELECT count(*) FROM {scene.session.dialect.state_table('table_sync')}") == [(1,)]

    def _half_loaded(self, scene: Scene, table: Table, rows: list[dict[str, Any]]) -> None:
        """Leave a table with rows and no line, as a load of the official client that breaks off does."""
        scene.initialise(table, [{name: value for name, value in row.items() if _has(table, name)} for row in rows])
        scene.place.execute(f"DELETE FROM {scene.session.dialect.state_table('table_sync')}")
        assert scene.session.status("canvas", table.name) is TableStatus.UNMANAGED

    def _refused(self, scene: Scene, found: Table) -> None:
        row = {"id": 1, "name": "n", "note": "n"}
        self._half_loaded(scene, found, [row])
        self._is_refused(scene, f"SELECT * FROM {scene.session.dialect.of(found)}")

    def _is_refused(self, scene: Scene, rows: str) -> None:
        before = scene.place.ask(rows)
        assert before
        with pytest.raises(IncompatibleLayoutError) as caught:
            scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))
        assert "not touched" in caught.value.hint
        scene.reopen()
        assert scene.place.ask(rows) == before
        assert scene.session.sync_states("canvas") == {}


def _has(table: Table, name: str) -> bool:
    return name in {column.name for column in table.columns}
