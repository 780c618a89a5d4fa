"""A table with rows and no line in the books that is not exactly as a load leaves it is never touched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.mysql_fixture import MySqlPlace
from tests.contract.table_fixture import Scene
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
def scene(mysql_url: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(MySqlPlace(mysql_url), tmp_path)
    scene.initialise(TABLE, [*ROWS, {"id": 9, "name": "gone", "size": 9, "state": "b", "open": "else"}])
    scene.place.execute('DELETE FROM "instructure_dap__table_sync"')
    yield scene
    scene.session.close()


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
def test_a_table_that_differs_in_anything_is_refused_untouched(scene: Scene, change: str) -> None:
    scene.place.execute(change)
    before = scene.place.ask(f"SELECT * FROM {THINGS}")
    assert scene.session.status("canvas", "things") is TableStatus.UNMANAGED
    with pytest.raises(IncompatibleLayoutError) as caught:
        scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))
    assert "not touched" in caught.value.hint
    assert scene.place.ask(f"SELECT * FROM {THINGS}") == before
    assert scene.session.sync_states("canvas") == {}


def test_what_a_broken_load_of_ours_left_is_dropped_with_its_place_on_the_list(scene: Scene) -> None:
    begun = '"instructure_dap__dapkit_begun"'
    scene.place.execute(f"DELETE FROM {THINGS}", f"INSERT INTO {begun} VALUES ('canvas', 'things')")
    assert scene.session.status("canvas", "things") is TableStatus.ABSENT
    assert scene.session.is_unmanaged("canvas", "things")
    scene.session.drop("canvas", "things")
    assert not scene.session.is_unmanaged("canvas", "things")
    assert scene.place.ask(f"SELECT * FROM {begun}") == []
