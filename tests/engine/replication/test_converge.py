"""The road that a table takes, as a table of cases."""

from datetime import UTC, datetime, timedelta

import pytest

from dapkit.engine.replication.converge import Purpose, Refuse, Road, detour, is_spent, road
from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    LayoutError,
    NetworkError,
    NotReplicatedError,
    OutOfRangeError,
    SnapshotRequiredError,
    UnalterableError,
)
from dapkit.model import VersionedSchema
from dapkit.targets.base import Book, Standing

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
BOOK = Book(
    namespace="canvas",
    table="users",
    watermark=NOON,
    schema=VersionedSchema(namespace="canvas", table="users", version=1, document={}),
)


@pytest.mark.parametrize(
    ("purpose", "standing", "expected"),
    [
        (Purpose.SYNC, Standing.ABSENT, Road.INITIALISE),
        (Purpose.SYNC, Standing.BOOKED, Road.CHANGE),
        (Purpose.SYNC, Standing.UNBOOKED, LayoutError),
        (Purpose.INIT, Standing.ABSENT, Road.INITIALISE),
        (Purpose.INIT, Standing.BOOKED, AlreadyReplicatedError),
        (Purpose.INIT, Standing.UNBOOKED, LayoutError),
        (Purpose.UPDATE, Standing.ABSENT, NotReplicatedError),
        (Purpose.UPDATE, Standing.BOOKED, Road.CHANGE),
        (Purpose.UPDATE, Standing.UNBOOKED, LayoutError),
    ],
)
def test_how_a_table_sets_out(purpose: Purpose, standing: Standing, expected: Road | type[DapError]) -> None:
    way = road(purpose, "users", standing, BOOK if standing is Standing.BOOKED else None)
    if isinstance(expected, Road):
        assert way is expected
    else:
        assert isinstance(way, Refuse)
        assert isinstance(way.error, expected)
        assert way.error.table == "users"
        assert way.error.hint


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [(Purpose.SYNC, Road.CHANGE), (Purpose.INIT, Road.LEAVE), (Purpose.UPDATE, Road.CHANGE)],
)
def test_what_is_on_the_books_by_now_may_be_of_our_own_making(purpose: Purpose, expected: Road) -> None:
    assert road(purpose, "users", Standing.BOOKED, BOOK, again=True) is expected


@pytest.mark.parametrize("purpose", [Purpose.SYNC, Purpose.INIT])
def test_what_is_not_on_the_books_is_repaired_only_when_that_is_wanted(purpose: Purpose) -> None:
    assert road(purpose, "users", Standing.UNBOOKED, None, repair=True) is Road.REPAIR
    assert road(purpose, "users", Standing.ABSENT, None, repair=True) is Road.INITIALISE


def test_a_table_that_is_young_enough_is_left_alone() -> None:
    def at(moment: datetime) -> Road | Refuse:
        return road(Purpose.SYNC, "users", Standing.BOOKED, BOOK, fresh_until=moment)

    assert at(NOON) is Road.LEAVE
    assert at(NOON + timedelta(seconds=1)) is Road.CHANGE


@pytest.mark.parametrize("error", [SnapshotRequiredError("x"), OutOfRangeError("x"), UnalterableError("x")])
def test_only_sync_takes_a_fresh_snapshot_by_itself(error: DapError) -> None:
    assert detour(Purpose.SYNC, error) is Road.REPLACE
    assert detour(Purpose.UPDATE, error) is None


def test_other_errors_are_final() -> None:
    assert detour(Purpose.SYNC, NetworkError("x")) is None


def test_an_old_job_given_once_more_is_recognised() -> None:
    assert is_spent(NOON, BOOK, NOON + timedelta(hours=5))
    assert not is_spent(NOON, BOOK, NOON + timedelta(hours=3)), "nothing new can be expected yet"
    assert not is_spent(NOON + timedelta(seconds=1), BOOK, NOON + timedelta(hours=5))
