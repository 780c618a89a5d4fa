"""A table with rows and no line in the books that is not exactly as a load leaves it is never touched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.postgres_fixture import PostgresPlace
from tests.contract.table_fixture import Scene
from tests.support.table_schemas import INT32, TEXT, Node, table_of

from dapkit.errors import IncompatibleLayoutError

pytestmark = pytest.mark.server

ENUM: Node = {"type": "string", "enum": ["a", "b", "__dap_unspecified__"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
TABLE = table_of({"name": TEXT | {"maxLength": 5}, "size": INT32, "state": ENUM, "open": OPEN})
THINGS = '"canvas"."things"'
ROWS = [{"id": number, "name": f"n{number}", "size": number, "state": "a", "open": "known"} for number in range(1, 4)]


@pytest.fixture
def scene(postgres_url: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(PostgresPlace(postgres_url), tmp_path)
    scene.initialise(TABLE, [*ROWS, {"id": 9, "name": "gone", "size": 9, "state": "b", "open": "else"}])
    scene.place.execute("DELETE FROM instructure_dap.table_sync")
    yield scene
    scene.session.close()


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
def test_a_table_that_differs_in_anything_is_refused_untouched(scene: Scene, change: str) -> None:
    scene.place.execute(*change.split("; "))
    before = scene.place.ask(f"SELECT live::text, xmin::text FROM {THINGS} AS live ORDER BY 1")
    with pytest.raises(IncompatibleLayoutError) as caught:
        scene.session.repair(scene.load(TABLE, scene.parts(TABLE, ROWS, action=False)))
    assert "not touched" in caught.value.hint
    assert scene.place.ask(f"SELECT live::text, xmin::text FROM {THINGS} AS live ORDER BY 1") == before
    assert scene.session.sync_states("canvas") == {}
    assert scene.place.ask("SELECT to_regnamespace('dapkit_scratch') IS NULL") == [(True,)]
