"""Part of the contract: a table with rows and no line in the books is filled anew, or refused without a touch."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.contract.table_fixture import SqlTableFixture
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


class SqlRepairsContract:
    def test_a_half_loaded_table_becomes_equal_to_the_snapshot(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, TABLE, [*ROWS[1:2], ROWS[2] | {"name": "old"}, OLD])
        view = fixture.name("canvas", "mine")
        fixture.database.execute(f"CREATE VIEW {view} AS SELECT name FROM {fixture.of(TABLE)}")
        counts = fixture.session.repair(fixture.load(TABLE, fixture.parts(TABLE, ROWS, action=False)))
        assert (counts.written, counts.deleted) == (3, 1)
        fixture.holds(TABLE, ROWS)
        assert fixture.database.ask(f"SELECT count(*) FROM {view}") == [(3,)]
        fixture.apply_increment(TABLE, [OLD])
        fixture.holds(TABLE, [*ROWS, OLD])

    def test_an_index_of_the_users_own_is_in_nobodys_way(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, TABLE, ROWS)
        fixture.database.execute(f"CREATE INDEX mine ON {fixture.of(TABLE)} (size)")
        fixture.session.repair(fixture.load(TABLE, fixture.parts(TABLE, ROWS[:2], action=False)))
        fixture.holds(TABLE, ROWS[:2])

    @pytest.mark.parametrize("difference", DIFFERENT)
    def test_a_table_that_differs_is_refused_untouched(self, fixture: SqlTableFixture, difference: str) -> None:
        self._refused(fixture, DIFFERENT[difference]())

    @pytest.mark.parametrize(
        "node",
        [{"size": INT64}, {"price": PRICE | {"multipleOf": 0.1}}, {"name": TEXT | {"maxLength": 6}}],
        ids=["wider", "scale", "length"],
    )
    def test_a_type_that_the_database_tells_from_ours(self, fixture: SqlTableFixture, node: dict[str, Any]) -> None:
        found, dialect = other(**node), fixture.dialect
        types = [[dialect.type_of(table, column) for column in table.columns] for table in (TABLE, found)]
        if types[0] == types[1]:
            pytest.skip("it has one type for both")
        self._refused(fixture, found)

    def test_a_table_without_the_key_is_refused_untouched(self, fixture: SqlTableFixture) -> None:
        if not fixture.database.target.capabilities.unique_keys:
            pytest.skip("its tables have no key")
        self._half_loaded(fixture, TABLE, ROWS)
        live, copy = fixture.of(TABLE), fixture.name("canvas", "copy")
        fixture.database.execute(f"CREATE TABLE {copy} AS SELECT * FROM {live}", f"DROP TABLE {live}")
        fixture.database.execute(f"CREATE TABLE {live} AS SELECT * FROM {copy}")
        self._is_refused(fixture, f"SELECT * FROM {live}")

    def test_a_view_of_that_name_is_refused(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, table_of(VALUE, required=["note"], name="others"), ROWS)
        fixture.database.execute(f"CREATE VIEW {fixture.of(TABLE)} AS SELECT * FROM {fixture.name('canvas', 'others')}")
        self._is_refused(fixture, f"SELECT * FROM {fixture.name('canvas', 'others')}")

    def test_a_table_that_somebody_else_has_put_on_the_books_meanwhile_stays_theirs(
        self, fixture: SqlTableFixture
    ) -> None:
        self._half_loaded(fixture, TABLE, ROWS)
        load = fixture.load(TABLE, fixture.parts(TABLE, ROWS, action=False))
        fixture.session.repair(load)
        with pytest.raises(ConcurrentUpdateError):
            fixture.session.repair(load)
        fixture.reopen()
        fixture.holds(TABLE, ROWS)
        assert fixture.database.ask(f"SELECT count(*) FROM {fixture.state_table('table_sync')}") == [(1,)]

    def _half_loaded(self, fixture: SqlTableFixture, table: Table, rows: list[dict[str, Any]]) -> None:
        """Leave a table with rows and no line, as a load of the official client that breaks off does."""
        fixture.initial_load(table, [{name: value for name, value in row.items() if _has(table, name)} for row in rows])
        fixture.database.execute(f"DELETE FROM {fixture.state_table('table_sync')}")
        assert fixture.session.status("canvas", table.name) is TableStatus.UNMANAGED

    def _refused(self, fixture: SqlTableFixture, found: Table) -> None:
        row = {"id": 1, "name": "n", "note": "n"}
        self._half_loaded(fixture, found, [row])
        self._is_refused(fixture, f"SELECT * FROM {fixture.of(found)}")

    def _is_refused(self, fixture: SqlTableFixture, rows: str) -> None:
        before = fixture.database.ask(rows)
        assert before
        with pytest.raises(IncompatibleLayoutError) as caught:
            fixture.session.repair(fixture.load(TABLE, fixture.parts(TABLE, ROWS, action=False)))
        assert "not touched" in caught.value.hint
        fixture.reopen()
        assert fixture.database.ask(rows) == before
        assert fixture.session.sync_states("canvas") == {}


def _has(table: Table, name: str) -> bool:
    return name in {column.name for column in table.columns}
