"""A table with rows but no sync state is never changed, unless its layout is exactly that of a load."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.postgres_fixture import PostgresFixture
from tests.contract.table_fixture import SqlTableFixture
from tests.support.table_schemas import INT32, TEXT, Node, table_of

from dapkit.errors import IncompatibleLayoutError

pytestmark = pytest.mark.server

ENUM: Node = {"type": "string", "enum": ["a", "b", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
TABLE = table_of({"name": TEXT | {"maxLength": 5}, "size": INT32, "state": ENUM, "open": OPEN})
THINGS = '"canvas"."things"'
ROWS = [{"id": number, "name": f"n{number}", "size": number, "state": "a", "open": "known"} for number in range(1, 4)]


@pytest.fixture
def fixture(postgres_url: str, tmp_path: Path) -> Iterator[SqlTableFixture]:
    fixture = SqlTableFixture(PostgresFixture(postgres_url), tmp_path)
    fixture.initial_load(TABLE, [*ROWS, {"id": 9, "name": "old", "size": 9, "state": "b", "open": "else"}])
    fixture.database.execute("DELETE FROM instructure_dap.table_sync")
    yield fixture
    fixture.session.close()


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE {THINGS} ADD COLUMN mine text",
        f"ALTER TABLE {THINGS} DROP COLUMN size",
        f"ALTER TABLE {THINGS} ALTER COLUMN size TYPE bigint",
        f"ALTER TABLE {THINGS} ALTER COLUMN name TYPE varchar(6)",
        f"ALTER TABLE {THINGS} ALTER COLUMN name SET NOT NULL",
        f"ALTER TABLE {THINGS} RENAME COLUMN name TO label",
        f"ALTER TABLE {THINGS} DROP CONSTRAINT pk_things",
        f"ALTER TABLE {THINGS} DROP CONSTRAINT pk_things; ALTER TABLE {THINGS} ADD CONSTRAINT pk_things"
        " PRIMARY KEY (id, size)",
        f"ALTER TABLE {THINGS} ADD CONSTRAINT mine UNIQUE (name)",
        f"ALTER TABLE {THINGS} ADD CONSTRAINT mine CHECK (size > 0)",
        "ALTER TYPE canvas.things__state ADD VALUE 'mine'",
    ],
)
def test_any_difference_in_layout_is_rejected_unchanged(fixture: SqlTableFixture, change: str) -> None:
    fixture.database.execute(*change.split("; "))
    before = fixture.database.query(f"SELECT live::text, xmin::text FROM {THINGS} AS live ORDER BY 1")
    with pytest.raises(IncompatibleLayoutError) as caught:
        fixture.session.repair(fixture.load(TABLE, fixture.files(TABLE, ROWS, action=False)))
    assert "not touched" in caught.value.hint
    assert fixture.database.query(f"SELECT live::text, xmin::text FROM {THINGS} AS live ORDER BY 1") == before
    assert fixture.session.sync_states("canvas") == {}
    assert fixture.database.query("SELECT to_regnamespace('dapkit_scratch') IS NULL") == [(True,)]
