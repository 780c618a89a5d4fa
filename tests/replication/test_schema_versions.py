"""Schema changes during a job: no column of the files is lost, and no column of the table is emptied."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest
from tests.support.fake_service import FakeService
from tests.support.table_schemas import INT32, TEXT, table_of
from tests.support.tsv_parts import Layout, Row, write_parts
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.session import Session
from dapkit.errors import IntegrityError
from dapkit.model import Job, Table, TypeKind, VersionedSchema
from dapkit.replication.options import SyncRequest
from dapkit.replication.reconcile import ReconcileResult, reconcile
from dapkit.replication.run import SyncResult, replicate
from dapkit.replication.schema_versions import choose_schema, common_table
from dapkit.results import SyncCommand
from dapkit.schema import read_table
from dapkit.targets.duckdb.target import duckdb_file

FIRST = table_of({"name": TEXT})
SECOND = table_of({"name": TEXT, "added": TEXT}, version=2)
WIDER = table_of({"name": TEXT | {"maxLength": 99}}, version=2)
SHORTER = table_of({"added": TEXT}, version=3)
NAMES = frozenset({"id", "name"})
ALL = frozenset({"id", "name", "added"})


@pytest.mark.parametrize(
    ("served", "version_of_files", "columns", "current", "wanted"),
    [
        (SECOND, SECOND, ALL, None, SECOND),
        (SECOND, SECOND, ALL, FIRST, SECOND),
        (WIDER, FIRST, NAMES, None, WIDER),
        (WIDER, FIRST, NAMES, FIRST, WIDER),
        (SECOND, FIRST, NAMES, FIRST, FIRST),
        (SECOND, FIRST, None, FIRST, SECOND),
        (FIRST, SECOND, ALL, FIRST, FIRST),  # the load rejects the unknown column
        (SHORTER, SECOND, ALL, SECOND, SECOND),
    ],
)
def test_the_schema_has_all_columns_and_empties_none(
    served: Table, version_of_files: Table, columns: frozenset[str] | None, current: Table | None, wanted: Table
) -> None:
    assert (
        choose_schema(served.schema, version_of_files.version, columns, current.schema if current else None)
        == wanted.schema
    )


def test_a_version_no_longer_served_is_the_current_one_without_new_columns() -> None:
    found = choose_schema(SECOND.schema, 1, NAMES, None)
    assert found.version == 1
    assert [column.name for column in read_table(found).columns] == ["id", "name"]
    assert read_table(found).key == SECOND.key


def test_files_that_are_older_than_the_table_and_lack_columns_are_rejected() -> None:
    with pytest.raises(IntegrityError, match="version 1 of the schema, but the table already follows 2"):
        choose_schema(SHORTER.schema, 1, frozenset({"id"}), SECOND.schema)


def test_files_of_several_versions_fit_into_one_table() -> None:
    table, missing = common_table(SHORTER, [ALL, frozenset({"id", "name"}), None])
    assert missing == {"added"}
    assert {column.name: (column.type.kind, column.required) for column in table.value} == {
        "added": (TypeKind.TEXT, False),
        "name": (TypeKind.TEXT, False),
    }


# In virtual time


@dataclass
class ChangingService(FakeService):
    """One table, whose jobs are made by one version of the schema while another, or several in turn, is served."""

    folder: Path = Path()
    made: Table = FIRST
    served: Sequence[Table] = (FIRST,)
    now_rows: Sequence[dict[str, Any]] = ()
    made_by: dict[str, tuple[Table, bytes]] = field(default_factory=dict)

    async def schema(self, namespace: str, table: str) -> VersionedSchema:
        self.asked["schema"] += 1
        first, *rest = self.served
        self.served = rest or [first]
        assert (namespace, table) == ("canvas", "things")
        return first.schema

    def content(self, object_id: str) -> bytes:
        return self.made_by[object_id.rsplit(".", 1)[0]][1]

    def _job(self, job_id: str) -> Job:
        job = super()._job(job_id)
        if job_id not in self.made_by:
            query = self.queries[job_id]
            rows = [] if query.until else [Row(values) for values in self.now_rows]
            action = query.incremental
            parts = write_parts(self.folder, self.made, rows, Layout(action=action))
            self.made_by[job_id] = (self.made, parts.paths[0].read_bytes())
        if job.schema_version is None:
            return job
        job = replace(job, schema_version=self.made_by[job_id][0].version)
        started = datetime.fromtimestamp(self.jobs[job_id][1], UTC).isoformat().replace("+00:00", "Z")
        return replace(job, at_text=started) if job.since is None else replace(job, until_text=started)


@dataclass
class World:
    """The service and a database."""

    service: ChangingService
    folder: Path

    def options(self) -> SyncRequest:
        return SyncRequest(
            command=SyncCommand.SYNC,
            namespace="canvas",
            tables=("things",),
            target=duckdb_file(self.folder / "college.duckdb"),
            stage=self.folder / "stage",
        )

    def sync(self, made: Table, served: Sequence[Table], *rows: dict[str, Any]) -> SyncResult:
        """Sync while a job has these rows; an hour passes before."""
        self.service.clock.elapsed += 3600
        self.service.made, self.service.served, self.service.now_rows = made, served, rows
        return run_virtually(replicate(cast(Session, self.service), self.options(), lambda _: None), self.service.clock)

    def reconcile(self, made: Table, served: Table, *rows: dict[str, Any]) -> ReconcileResult:
        self.service.made, self.service.served, self.service.now_rows = made, [served], rows
        comparing = reconcile(cast(Session, self.service), self.options(), lambda _: None, sync=False)
        return run_virtually(comparing, self.service.clock)

    def holds(self) -> tuple[int, list[dict[str, Any]]]:
        """Return the schema version in the sync state, and the rows."""
        with duckdb.connect(str(self.folder / "college.duckdb"), read_only=True) as connection:
            ((version,),) = connection.sql("SELECT schema_version FROM instructure_dap.table_sync").fetchall()
            found = connection.sql("FROM canvas.things ORDER BY id")
            return version, [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    folder = tmp_path / "service"
    folder.mkdir()
    service = ChangingService(VirtualClock(), {"things": 1}, suffix=".tsv.gz", folder=folder)
    return World(service, tmp_path)


A: dict[str, Any] = {"id": 1, "name": "a"}
B: dict[str, Any] = {"id": 2, "name": "b", "added": "B"}


def test_an_initial_load_from_a_job_older_than_the_schema_has_the_version_of_the_job(world: World) -> None:
    assert world.sync(FIRST, [SECOND], A).failed == ()
    assert world.holds() == (1, [A])
    assert world.sync(SECOND, [SECOND], B).failed == ()
    assert world.holds() == (2, [A | {"added": None}, B])


def test_an_increment_older_than_the_schema_keeps_the_old_version(world: World) -> None:
    world.sync(FIRST, [FIRST], A)
    assert world.sync(FIRST, [SECOND], A | {"name": "A"}).failed == ()
    assert world.holds() == (1, [A | {"name": "A"}])
    world.sync(SECOND, [SECOND], B)
    assert world.holds() == (2, [A | {"name": "A", "added": None}, B])


def test_files_of_an_older_version_do_not_empty_columns(world: World) -> None:
    world.sync(SECOND, [SECOND], B)
    (failure,) = world.sync(FIRST, [SECOND], {"id": 2, "name": "c"}).failed
    assert failure.error.code == "integrity"
    assert "in some hours" in failure.error.hint
    assert world.holds() == (2, [B])
    world.service.current.clear()
    assert world.sync(SECOND, [SECOND], B | {"name": "c"}).failed == ()
    assert world.holds() == (2, [B | {"name": "c"}])


def test_a_schema_older_than_the_job_is_requested_again(world: World) -> None:
    assert world.sync(SECOND, [FIRST, FIRST, SECOND], B).failed == ()
    assert world.holds() == (2, [B])


def test_a_schema_that_stays_older_than_the_job_fails_the_table(world: World) -> None:
    world.sync(FIRST, [FIRST], A)
    (failure,) = world.sync(SECOND, [FIRST], B).failed
    assert failure.error.code == "integrity"
    assert world.holds() == (1, [A])


MORE = table_of({"name": TEXT, "added": TEXT, "size": INT32 | {"default": 7}}, version=3, required=["size"])


@pytest.mark.parametrize(
    ("made", "rows", "columns_not_compared"),
    [
        (SECOND, [B], ()),
        (FIRST, [{"id": 2, "name": "b"}], ("added",)),
        (MORE, [B | {"size": 3}], ()),
        (SHORTER, [{"id": 2, "added": "B"}], ("name",)),
    ],
    ids=["same", "older", "newer", "shorter"],
)
def test_the_common_columns_of_two_versions_are_compared(
    world: World, made: Table, rows: list[dict[str, Any]], columns_not_compared: tuple[str, ...]
) -> None:
    world.sync(SECOND, [SECOND], B)
    world.service.current.clear()
    served = max(SECOND, made, key=lambda each: each.version)
    right = world.reconcile(made, served, *rows)
    assert right.failed == ()
    assert right.equal
    assert right.done[0].comparison.compared == 1
    assert right.done[0].comparison.columns_not_compared == columns_not_compared
    world.service.current.clear()
    wrong = world.reconcile(made, served, rows[0] | {"name": "x", "added": "x"})
    assert set(wrong.done[0].comparison.differing) == {"name", "added"} - set(columns_not_compared)
