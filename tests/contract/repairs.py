"""Contract: a table with rows but no sync state is repaired, or rejected unchanged."""

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
OLD = {"id": 9, "name": "old", "size": 9, "state": "b", "open": "else", "note": "n"}


def variant(required: tuple[str, ...] = ("note",), without: str = "", **more: Any) -> Table:
    """Return the usual table with some differences."""
    return table_of({name: node for name, node in (VALUE | more).items() if name != without}, required=required)


DIFFERENT: dict[str, Callable[[], Table]] = {
    "additional column": lambda: variant(mine=TEXT),
    "missing column": lambda: variant(without="size"),
    "another type": lambda: variant(size=TEXT),
    "required": lambda: variant(required=("note", "name")),
    "not required": lambda: variant(required=()),
    "another default": lambda: variant(note=TEXT | {"default": "other"}),
    "no default": lambda: variant(note=TEXT),
}


class SqlRepairsContract:
    def test_a_half_loaded_table_becomes_equal_to_the_snapshot(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, TABLE, [*ROWS[1:2], ROWS[2] | {"name": "old"}, OLD])
        view = fixture.name("canvas", "mine")
        fixture.database.execute(f"CREATE VIEW {view} AS SELECT name FROM {fixture.full_name(TABLE)}")
        counts = fixture.session.repair(fixture.load(TABLE, fixture.files(TABLE, ROWS, action=False)))
        assert (counts.written, counts.deleted) == (3, 1)
        fixture.assert_holds(TABLE, ROWS)
        assert fixture.database.query(f"SELECT count(*) FROM {view}") == [(3,)]
        fixture.apply_increment(TABLE, [OLD])
        fixture.assert_holds(TABLE, [*ROWS, OLD])

    def test_a_user_created_index_does_not_prevent_a_repair(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, TABLE, ROWS)
        fixture.database.execute(f"CREATE INDEX mine ON {fixture.full_name(TABLE)} (size)")
        fixture.session.repair(fixture.load(TABLE, fixture.files(TABLE, ROWS[:2], action=False)))
        fixture.assert_holds(TABLE, ROWS[:2])

    @pytest.mark.parametrize("difference", DIFFERENT)
    def test_a_table_with_another_layout_is_rejected_unchanged(self, fixture: SqlTableFixture, difference: str) -> None:
        self._assert_layout_rejected(fixture, DIFFERENT[difference]())

    @pytest.mark.parametrize(
        "node",
        [{"size": INT64}, {"price": PRICE | {"multipleOf": 0.1}}, {"name": TEXT | {"maxLength": 6}}],
        ids=["wider", "scale", "length"],
    )
    def test_a_column_of_another_type_is_rejected(self, fixture: SqlTableFixture, node: dict[str, Any]) -> None:
        found, dialect = variant(**node), fixture.dialect
        types = [[dialect.type_of(table, column) for column in table.columns] for table in (TABLE, found)]
        if types[0] == types[1]:
            pytest.skip("the database has one type for both")
        self._assert_layout_rejected(fixture, found)

    def test_a_table_without_the_key_is_rejected_unchanged(self, fixture: SqlTableFixture) -> None:
        if not fixture.database.target.capabilities.unique_keys:
            pytest.skip("tables of this database have no key")
        self._half_loaded(fixture, TABLE, ROWS)
        table, copy = fixture.full_name(TABLE), fixture.name("canvas", "copy")
        fixture.database.execute(f"CREATE TABLE {copy} AS SELECT * FROM {table}", f"DROP TABLE {table}")
        fixture.database.execute(f"CREATE TABLE {table} AS SELECT * FROM {copy}")
        self._assert_rejected(fixture, f"SELECT * FROM {table}")

    def test_a_view_with_the_name_of_the_table_is_rejected(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, table_of(VALUE, required=["note"], name="others"), ROWS)
        fixture.database.execute(
            f"CREATE VIEW {fixture.full_name(TABLE)} AS SELECT * FROM {fixture.name('canvas', 'others')}"
        )
        self._assert_rejected(fixture, f"SELECT * FROM {fixture.name('canvas', 'others')}")

    def test_a_table_that_another_process_started_to_manage_is_not_repaired(self, fixture: SqlTableFixture) -> None:
        self._half_loaded(fixture, TABLE, ROWS)
        load = fixture.load(TABLE, fixture.files(TABLE, ROWS, action=False))
        fixture.session.repair(load)
        with pytest.raises(ConcurrentUpdateError):
            fixture.session.repair(load)
        fixture.reopen()
        fixture.assert_holds(TABLE, ROWS)
        assert fixture.database.query(f"SELECT count(*) FROM {fixture.state_table('table_sync')}") == [(1,)]

    def _half_loaded(self, fixture: SqlTableFixture, table: Table, rows: list[dict[str, Any]]) -> None:
        """Leave a table with rows but no sync state, as an interrupted load of the official client does."""
        fixture.initial_load(table, [{name: value for name, value in row.items() if _has(table, name)} for row in rows])
        fixture.database.execute(f"DELETE FROM {fixture.state_table('table_sync')}")
        assert fixture.session.status("canvas", table.name) is TableStatus.UNMANAGED

    def _assert_layout_rejected(self, fixture: SqlTableFixture, found: Table) -> None:
        row = {"id": 1, "name": "n", "note": "n"}
        self._half_loaded(fixture, found, [row])
        self._assert_rejected(fixture, f"SELECT * FROM {fixture.full_name(found)}")

    def _assert_rejected(self, fixture: SqlTableFixture, rows: str) -> None:
        before = fixture.database.query(rows)
        assert before
        with pytest.raises(IncompatibleLayoutError) as caught:
            fixture.session.repair(fixture.load(TABLE, fixture.files(TABLE, ROWS, action=False)))
        assert "not touched" in caught.value.hint
        fixture.reopen()
        assert fixture.database.query(rows) == before
        assert fixture.session.sync_states("canvas") == {}


def _has(table: Table, name: str) -> bool:
    return name in {column.name for column in table.columns}
