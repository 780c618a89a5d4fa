"""The table whose schema changes: its values fit each version, and increments work across versions."""

import datetime
from functools import cache
from itertools import pairwise

import pytest

from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.sandbox.data.schema_evolution import STEPS, table_at, version_at
from dapkit.sandbox.data.timeline import DAY

MOMENTS = (STEPS[0] - DAY, *STEPS, STEPS[-1] + 30 * DAY)


@pytest.fixture(scope="module")
def college() -> Dataset:
    return Dataset()


@cache
def rows(college: Dataset, until: int, since: int | None = None) -> list[dict[str, object]]:
    query = DataQuery(namespace="edge", table="evolving", format="tsv", since_ms=since, until_ms=until)
    names = ["ts", "action", *(column.name for column in table_at(until).columns)]
    return [dict(zip(names, row, strict=True)) for part in college.parts(query) for row in college.rows(part)]


def test_versions_grow_by_one_and_each_changes_one_thing(college: Dataset) -> None:
    versions = [college.schema("edge", "evolving", moment) for moment in MOMENTS]
    first = versions[0][1]
    assert [version for _, version in versions] == [first + number for number in (0, 1, 2, 3, 4, 5, 5)]
    assert [version_at(moment) for moment in MOMENTS] == [1, 2, 3, 4, 5, 6, 6]
    documents = [document for document, _ in versions[:-1]]
    assert all(one != other for one, other in pairwise(documents))


@pytest.mark.parametrize(("earlier", "later"), tuple(pairwise(MOMENTS)))
def test_snapshot_plus_increment_is_the_next_snapshot_across_versions(
    college: Dataset, earlier: int, later: int
) -> None:
    merged = {row["id"]: row for row in rows(college, earlier)}
    changes = rows(college, later, earlier)
    assert {row["action"] for row in changes} >= {"U"}
    for row in changes:
        merged[row["id"]] = row
    wanted = {row["id"]: row for row in rows(college, later)}
    empty = dict.fromkeys(column.name for column in table_at(later).columns)
    assert {key: empty | row for key, row in merged.items() if row["action"] == "U"} == wanted


def test_new_values_occur_only_after_their_version(college: Dataset) -> None:
    added, widened, grown, enlarged, relaxed = (
        datetime.datetime.fromtimestamp(step / 1000, datetime.UTC).replace(tzinfo=None) for step in STEPS
    )
    for row in rows(college, MOMENTS[-1]):
        ts = row["ts"]
        assert isinstance(ts, datetime.datetime)
        assert (row["added"] is not None) == (ts >= added)
        assert (len(str(row["title"])) > 10) == (ts >= widened)
        assert (int(str(row["size"])) > 1 << 31) == (ts >= enlarged)
        assert row["color"] != "violet" or ts >= grown
        assert row["note"] is not None or ts >= relaxed
    last = rows(college, MOMENTS[-1])
    assert any(row["color"] == "violet" for row in last)
    assert any(row["note"] is None for row in last)
