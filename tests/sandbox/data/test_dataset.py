"""snapshot(t1) + increment(t1, t2) = snapshot(t2), and the other guarantees of the dataset."""

import datetime
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.property_settings import few_examples

from dapkit.sandbox.data import edge_cases
from dapkit.sandbox.data.catalogue import Catalogue, Table, spec_tables
from dapkit.sandbox.data.dataset import DataQuery, Dataset, Part
from dapkit.sandbox.data.timeline import DAY, DECADE, ORIGIN, REFRESH

Row = tuple[Any, ...]
Rows = Callable[[Table, int | None, int], tuple[Row, ...]]
CATALOGUE = Catalogue((*spec_tables(), *edge_cases.TABLES))
LOG_RETENTION = 30 * DAY
REFRESHES = DECADE // REFRESH


def moment(milliseconds: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=milliseconds)  # noqa: DTZ001 - as DuckDB gives it


def keyed(table: Table, found: tuple[Row, ...]) -> dict[Row, Row]:
    """Return ts and values by key. Keys must be unique."""
    width = 2 + len(table.key)
    state = {row[2:width]: (row[0], *row[width:]) for row in found}
    assert len(state) == len(found)
    return state


def apply(table: Table, state: dict[Row, Row], increment: tuple[Row, ...]) -> dict[Row, Row]:
    changes = keyed(table, increment)
    after = dict(state)
    for row in increment:
        key = row[2 : 2 + len(table.key)]
        assert row[1] in ("U", "D")
        if row[1] == "D":
            assert set(changes[key][1:]) == {None}
            after.pop(key, None)
        else:
            after[key] = changes[key]
    return after


def check_snapshot_plus_increment(table: Table, rows: Rows, since: int, until: int) -> None:
    before, after = keyed(table, rows(table, None, since)), keyed(table, rows(table, None, until))
    increment = rows(table, since, until)
    assert all(moment(since) < row[0] <= moment(until) for row in increment)
    if table.namespace == "canvas_logs":
        before = {key: row for key, row in before.items() if row[0] > moment(until - LOG_RETENTION)}
    # Compare texts, because NaN is not equal to itself.
    assert repr(sorted(apply(table, before, increment).items(), key=repr)) == repr(sorted(after.items(), key=repr))


# One table for each way in which rows are created, change and disappear, and for each kind of key. The others are slow
# because there are many of them.
VARIETY = {
    *("canvas.roles", "canvas.users", "catalog.orders", "canvas.enrollments", "canvas.favorites"),
    *("canvas.submission_versions", "canvas.score_statistics", "canvas.assignment_overrides", "canvas_logs.web_logs"),
    *("catalog.order_items", "new_quizzes.quiz_submissions", "edge.composite_keys", "edge.text_keys"),
    *("edge.identifiers", "edge.float_specials", "edge.nested", "edge.single", "edge.empty"),
}


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(table, id=table.qualified, marks=() if table.qualified in VARIETY else pytest.mark.slow)
        for table in CATALOGUE
    ],
)
def test_snapshot_plus_increment_is_the_next_snapshot(table: Table, rows: Rows, now: int) -> None:
    check_snapshot_plus_increment(table, rows, now - 250 * DAY, now)


@pytest.mark.parametrize(
    "name",
    [
        *("canvas.submission_versions", "canvas.favorites"),
        pytest.param("canvas_logs.web_logs", marks=pytest.mark.slow),
        pytest.param("canvas.submissions", marks=pytest.mark.slow),
        pytest.param("catalog.orders", marks=pytest.mark.slow),
        pytest.param("edge.many_parts", marks=pytest.mark.slow),
    ],
)
@few_examples(4, shares_fixtures=True)
@given(st.integers(0, REFRESHES), st.integers(0, REFRESHES))
def test_snapshot_plus_increment_between_any_refreshes(name: str, rows: Rows, first: int, second: int) -> None:
    table = CATALOGUE.table(*name.split("."))
    check_snapshot_plus_increment(
        table, rows, ORIGIN + min(first, second) * REFRESH, ORIGIN + max(first, second) * REFRESH
    )


@pytest.mark.parametrize("name", ["canvas.users", "canvas.submissions", "canvas.favorites"])
def test_an_increment_includes_its_end_and_excludes_its_start(name: str, rows: Rows, now: int) -> None:
    table = CATALOGUE.table(*name.split("."))
    changes = rows(table, now - 400 * DAY, now)
    for row in changes[:: max(1, len(changes) // 2)]:
        last = round((row[0] - moment(0)) / datetime.timedelta(milliseconds=1))
        key = row[2 : 2 + len(table.key)]
        assert key in keyed(table, rows(table, last - 1, last))
        assert key not in keyed(table, rows(table, last, last + 1))


def test_rows_are_updated_and_deleted(rows: Rows, now: int) -> None:
    versions = CATALOGUE.table("canvas", "submission_versions")
    actions = [row[1] for row in rows(versions, now - 2000 * DAY, now)]
    assert {"U", "D"} == set(actions)
    users = CATALOGUE.table("canvas", "users")
    place = 2 + [column.name for column in users.columns].index("deleted_at")
    deleted = [row for row in rows(users, None, now) if row[place] is not None]
    assert deleted
    assert all(row[place] == row[0] for row in deleted)


def test_each_refresh_changes_a_small_college() -> None:
    college = Dataset()
    changed = 0
    for name in ("users", "enrollments", "submissions", "discussion_entries", "asset_user_accesses"):
        query = DataQuery(
            namespace="canvas",
            table=name,
            format="jsonl",
            since_ms=ORIGIN + DECADE - REFRESH,
            until_ms=ORIGIN + DECADE,
        )
        changed += sum(len(college.rows(part)) for part in college.parts(query))
    assert changed > 50


def ask(table: str, **facts: Any) -> DataQuery:
    namespace, _, name = table.partition(".")
    return DataQuery(**{"namespace": namespace, "table": name, "format": "jsonl", **facts})


def test_parts_are_full_and_disjoint(rows: Rows, now: int) -> None:
    college = Dataset(scale=0.03, part_rows=15)
    parts = college.parts(ask("canvas.favorites", until_ms=now))
    assert len(parts) > 3
    complete = rows(CATALOGUE.table("canvas", "favorites"), None, now)
    assert tuple(row for part in parts for row in college.rows(part)) == complete


def test_a_table_may_have_more_parts(college: Dataset, now: int) -> None:
    assert len(college.parts(ask("edge.many_parts", until_ms=now))) > 10


def test_an_empty_snapshot_has_one_part_and_an_empty_increment_none(college: Dataset, now: int, tmp_path: Path) -> None:
    query = ask("edge.empty", until_ms=now)
    assert college.parts(query) == (Part(query=query, ranges=()),)
    assert college.write(college.parts(query)[0], tmp_path / "empty.gz") == 0
    assert college.parts(ask("edge.empty", since_ms=ORIGIN, until_ms=now)) == ()
    assert college.parts(ask("canvas.users", since_ms=ORIGIN - 2, until_ms=ORIGIN - 1)) == ()
    assert len(college.rows(college.parts(ask("edge.single", until_ms=now))[0])) == 1


def test_unknown_names(college: Dataset, now: int) -> None:
    for call in (
        lambda: college.tables("canvas_log"),
        lambda: college.schema("canvas", "web_logs", 0),
        lambda: college.parts(ask("canvas.nothing", until_ms=now)),
        lambda: college.earliest("canvas", "nothing", now),
    ):
        with pytest.raises(KeyError):
            call()


def test_namespaces_tables_and_schemas(college: Dataset, now: int) -> None:
    assert college.namespaces() == ("canvas", "canvas_logs", "catalog", "new_quizzes", "edge")
    assert "composite_keys" in college.tables("edge")
    schema, version = college.schema("canvas", "users", 0)
    assert "sortable_name" in schema["properties"]["value"]["properties"]
    assert version >= 1
    assert college.earliest("canvas", "users", now) == ORIGIN
    assert college.earliest("canvas_logs", "web_logs", now) == now - LOG_RETENTION


def test_a_changed_table_has_a_new_schema_version(college: Dataset, now: int) -> None:
    table = CATALOGUE.table("canvas", "submissions")
    before = Dataset(catalogue=Catalogue([replace(table, version=table.version - 1)]))
    assert college.schema("canvas", "submissions", now)[1] == before.schema("canvas", "submissions", now)[1] + 1


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_part_has_the_same_bytes_in_every_process_and_thread(format: str, now: int, tmp_path: Path) -> None:  # noqa: A002 - the service's word
    query = ask("edge.many_parts", format=format, until_ms=now)

    def digest(number: int) -> str:
        path = tmp_path / str(number)
        assert datasets[number % 2].write(datasets[0].parts(query)[0], path) > 10
        return hashlib.sha256(path.read_bytes()).hexdigest()

    datasets = [Dataset(), Dataset()]
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(digest, range(4)))) == 1


def test_another_seed_gives_other_values(now: int) -> None:
    query = ask("canvas.users", until_ms=now)
    first, second = Dataset(scale=0.01), Dataset(scale=0.01, seed=2)
    ours, theirs = (each.rows(each.parts(query)[0]) for each in (first, second))
    assert [row[2] for row in ours] == [row[2] for row in theirs]
    assert all(one != other for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("scale", [0.01, 1000])
def test_any_scale_works(scale: float, now: int) -> None:
    college = Dataset(scale=scale)
    for name in ("canvas.submissions", "canvas.asset_user_accesses", "canvas_logs.web_logs", "catalog.orders"):
        assert college.parts(ask(name, until_ms=now))[-1].ranges
        changes = college.parts(ask(name, since_ms=now - 1000, until_ms=now))
        assert sum(high - low for part in changes for low, high in part.ranges) < 2_000_000
        assert sum(len(college.rows(part)) for part in changes) > 0 or scale < 1


def test_a_table_that_is_new_in_the_catalogue_works_at_once(now: int) -> None:
    known = CATALOGUE.table("canvas", "calendar_events")
    new = Table(namespace="canvas", name="brand_new", key=known.key, value=known.value)
    college = Dataset(catalogue=Catalogue((*CATALOGUE, new)))
    assert len(college.rows(college.parts(ask("canvas.brand_new", until_ms=now))[0])) > 100
