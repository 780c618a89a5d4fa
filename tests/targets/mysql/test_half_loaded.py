"""A table with rows but no sync state is never changed, unless its layout is exactly that of a load."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.mysql_fixture import MySqlFixture
from tests.contract.table_fixture import SqlTableFixture
from tests.support.table_schemas import INT32, TEXT, Node, table_of

from dapkit.errors import IncompatibleLayoutError
from dapkit.targets.base import TableStatus

pytestmark = pytest.mark.server

ENUM: Node = {"type": "string", "enum": ["a", "b", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
TABLE = table_of({"name": TEXT | {"maxLength": 5}, "size": INT32, "state": ENUM, "open": OPEN, "more": {}})
THINGS = '"canvas__things"'
ROWS = [{"id": number, "name": f"n{number}", "size": number, "state": "a", "open": "known"} for number in range(1, 4)]


@pytest.fixture
def fixture(mysql_url: str, tmp_path: Path) -> Iterator[SqlTableFixture]:
    fixture = SqlTableFixture(MySqlFixture(mysql_url), tmp_path)
    fixture.initial_load(TABLE, [*ROWS, {"id": 9, "name": "old", "size": 9, "state": "b", "open": "else"}])
    fixture.database.execute('DELETE FROM "instructure_dap__table_sync"')
    yield fixture
    fixture.session.close()


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE {THINGS} ADD COLUMN mine text",
        f"ALTER TABLE {THINGS} DROP COLUMN size",
        f"ALTER TABLE {THINGS} MODIFY size bigint",
        f"ALTER TABLE {THINGS} MODIFY name varchar(6)",
        f"ALTER TABLE {THINGS} MODIFY size integer NOT NULL",
        f"ALTER TABLE {THINGS} MODIFY size integer DEFAULT 5",
        f"ALTER TABLE {THINGS} CHANGE name label varchar(5)",
        f"ALTER TABLE {THINGS} DROP PRIMARY KEY",
        f"ALTER TABLE {THINGS} DROP PRIMARY KEY, ADD PRIMARY KEY (id, size)",
        f"ALTER TABLE {THINGS} ADD UNIQUE mine (name)",
        f"ALTER TABLE {THINGS} MODIFY state ENUM ('a', 'b', '__dap_unspecified__', 'mine')",
    ],
)
def test_any_difference_in_layout_is_rejected_unchanged(fixture: SqlTableFixture, change: str) -> None:
    fixture.database.execute(change)
    before = fixture.database.query(f"SELECT * FROM {THINGS}")
    assert fixture.session.status("canvas", "things") is TableStatus.UNMANAGED
    with pytest.raises(IncompatibleLayoutError) as caught:
        fixture.session.repair(fixture.load(TABLE, fixture.files(TABLE, ROWS, action=False)))
    assert "not touched" in caught.value.hint
    assert fixture.database.query(f"SELECT * FROM {THINGS}") == before
    assert fixture.session.sync_states("canvas") == {}


def test_an_unfinished_table_is_dropped_with_its_entry(fixture: SqlTableFixture) -> None:
    begun = '"instructure_dap__dapkit_begun"'
    fixture.database.execute(f"DELETE FROM {THINGS}", f"INSERT INTO {begun} VALUES ('canvas', 'things')")
    assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
    assert fixture.session.is_unmanaged("canvas", "things")
    fixture.session.drop("canvas", "things")
    assert not fixture.session.is_unmanaged("canvas", "things")
    assert fixture.database.query(f"SELECT * FROM {begun}") == []
