"""A table with rows and no line in the books: filled anew if it is exactly as a load leaves it, else never touched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.mysql_place import MySqlPlace
from tests.contract.scene import Scene
from tests.support.table_schemas import INT32, TEXT, Node, table_of

from dapkit.errors import LayoutError, MovedOnError
from dapkit.targets.base import Standing

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


def test_a_half_loaded_table_becomes_equal_to_the_snapshot(scene: Scene) -> None:
    scene.place.execute(f"DELETE FROM {THINGS} WHERE id = 1", f"UPDATE {THINGS} SET name = 'old' WHERE id = 2")
    scene.place.execute(f'CREATE VIEW "mine" AS SELECT name FROM {THINGS}', f"CREATE INDEX mine ON {THINGS} (size)")
    counts = scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))
    assert (counts.written, counts.deleted) == (3, 1)
    scene.holds(TABLE, ROWS)
    assert scene.place.ask('SELECT count(*) FROM "mine"') == [(3,)]
    scene.change(TABLE, [{"id": 4, "name": "next", "state": "b"}])


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
    assert scene.session.standing("canvas", "things") is Standing.UNBOOKED
    with pytest.raises(LayoutError) as caught:
        scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))
    assert "not touched" in caught.value.hint
    assert scene.place.ask(f"SELECT * FROM {THINGS}") == before
    assert scene.session.books("canvas") == {}


def test_a_view_of_that_name_is_refused(scene: Scene) -> None:
    scene.place.execute(f'RENAME TABLE {THINGS} TO "others"', f'CREATE VIEW {THINGS} AS SELECT * FROM "others"')
    with pytest.raises(LayoutError):
        scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))


def test_a_table_that_somebody_else_has_put_on_the_books_meanwhile_stays_theirs(scene: Scene) -> None:
    load = scene.load(TABLE, scene.parts(TABLE, ROWS, action=False))
    scene.session.repair(load)
    with pytest.raises(MovedOnError):
        scene.session.repair(load)
    assert scene.place.ask('SELECT count(*) FROM "instructure_dap__table_sync"') == [(1,)]
