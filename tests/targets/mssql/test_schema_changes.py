"""Which schema changes are rejected, and which need no statements. The others are not tested on a real server."""

from datetime import UTC, datetime

import pytest
from tests.support.table_schemas import INT32, INT64, TEXT, Node, table_of

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.targets.base import SyncState
from dapkit.targets.mssql.column_types import LOOKUPS, catalog_type
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.sql.introspection import ExistingColumn, ExistingIndex, ExistingTable
from dapkit.targets.sql.schema_changes import plan_schema_change

DIALECT = MsSqlDialect()
ENUM: Node = {"type": "string", "enum": ["a", "b"]}
OPEN: Node = {"oneOf": [ENUM, TEXT]}
SHORT, LONG = TEXT | {"maxLength": 5}, TEXT | {"maxLength": 50}


def version(value: dict[str, Node], **more: object) -> Table:
    return table_of(value, version=2, **more)  # type: ignore[arg-type]


def altered(
    before: Table, after: Table, *indexes: ExistingIndex, drop: bool = False, **more: ExistingColumn
) -> list[str]:
    """Return what alters a table as the official client created it, its defaults under random names."""
    columns = {
        column.name: ExistingColumn(
            name=column.name,
            type=catalog_type(DIALECT.type_of(before, column)),
            required=column.required,
            default=f"df_{column.name}_abcdef" if column.default and column.type.kind not in LOOKUPS else None,
            reference=f"fk_canvas_things_{column.name}" if column.type.kind in LOOKUPS else None,
        )
        for column in before.columns
    }
    existing = ExistingTable(columns=columns | more, key=("id",), key_name="pk_canvas_things", indexes=indexes)
    state = SyncState(
        namespace="canvas", table="things", watermark=datetime(2024, 3, 1, tzinfo=UTC), schema=before.schema
    )
    plan = plan_schema_change(DIALECT, state, after, existing, drop_columns=drop, partly_altered=False)
    return DIALECT.alter_table(plan)


def test_changes_that_no_column_shows_need_nothing() -> None:
    table = table_of({"name": TEXT, "open": OPEN})
    assert altered(table, version({"name": TEXT | {"description": "New words."}, "open": OPEN})) == []
    assert altered(table_of({"v": ENUM}), version({"v": OPEN})) == []
    assert altered(table_of({"v": {"type": "object", "properties": {"a": TEXT}}}), version({"v": {}})) == []
    kept = ExistingColumn(name="v", type="varchar(20)")
    index = ExistingIndex(name="mine", definition="CREATE INDEX", columns=frozenset({"v"}))
    assert altered(table_of({}), version({"v": SHORT}), index, v=kept) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (INT64, INT32), (LONG, SHORT), (TEXT, INT32), (ENUM, {"type": "string", "enum": ["a"]}), (OPEN, ENUM),
        ({"type": "string", "format": "date-time"}, TEXT), ({"type": "boolean"}, TEXT), ({"type": "number"}, TEXT),
        ({"type": "string", "format": "ipv4"}, TEXT), ({"type": "object", "properties": {"a": TEXT}}, TEXT),
    ],
)  # fmt: skip
def test_values_that_cannot_be_converted(before: Node, after: Node) -> None:
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({"v": before}), version({"v": after}))


def test_new_not_null_and_another_key() -> None:
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({"v": INT32}), version({"v": INT32}, required=["v"]))
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({}), version({"v": INT32}, required=["v"]))
    with pytest.raises(SchemaChangeNotSupportedError):
        altered(table_of({"v": SHORT}, required=["v"]), version({}, key={"id": INT64, "v": SHORT}))


def test_a_kept_number_is_not_taken_for_the_number_of_an_enum() -> None:
    bound = ExistingColumn(name="v", type="int", default="df_x", reference="fk_x")
    assert any("DROP COLUMN" in sql for sql in altered(table_of({}), version({"v": INT32}), v=bound))
    assert not any("DROP COLUMN" in sql for sql in altered(table_of({}), version({"v": ENUM}), v=bound))


def test_keys_and_indexes_are_created_again_after_their_columns_are_altered() -> None:
    before = table_of({"a": INT32, "b": INT32}, key={"id": INT32})
    over_a = ExistingIndex(name="over_a", definition="CREATE a", columns=frozenset({"a", "b"}))
    over_b = ExistingIndex(name="over_b", definition="CREATE b", columns=frozenset({"b"}))
    wider = altered(before, version({"a": INT64, "b": INT32}, key={"id": INT64}), over_a, over_b)
    assert "over_a" in wider[0]
    assert "DROP CONSTRAINT" in wider[1]
    assert "PRIMARY KEY" in wider[-2]
    assert wider[-1] == "CREATE a"
    dropped = altered(before, version({"b": INT32}, key={"id": INT32}), over_a, over_b, drop=True)
    assert "over_a" in dropped[0]
    assert "CREATE a" not in dropped, "its column is dropped"


def test_a_rebuilt_table_is_emptied_unless_no_column_stays() -> None:
    before, after = table_of({"v": TEXT}), version({"v": INT32})
    columns = {name: ExistingColumn(name=name, type="x") for name in ("id", "v")}
    existing = ExistingTable(columns=columns, key_name="pk_canvas_things")
    assert DIALECT.rebuild(before, after, existing)[0].startswith("TRUNCATE TABLE")
    another_key = version({"v": INT32}, key={"id": INT32})
    assert DIALECT.rebuild(before, another_key, existing)[0].startswith("DROP TABLE")
