"""The road that a table takes, as a table of cases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.table_schemas import TEXT, table_of

from dapkit.engine.replication.converge import (
    LOGS,
    Purpose,
    Refuse,
    Road,
    check_expiry,
    detour,
    expiry,
    is_spent,
    lost,
    overdue,
    road,
)
from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    LayoutError,
    NetworkError,
    NotReplicatedError,
    OutOfRangeError,
    SnapshotRequiredError,
    UnalterableError,
    UsageError,
)
from dapkit.model import VersionedSchema
from dapkit.targets.base import Book, Expiry, Standing

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
BOOK = Book(
    namespace="canvas",
    table="users",
    watermark=NOON,
    schema=VersionedSchema(namespace="canvas", table="users", version=1, document={}),
)
LOG_BOOK = replace(BOOK, namespace=LOGS, table="web_logs")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MOMENT = {"type": "string", "format": "date-time"}


@pytest.mark.parametrize(
    ("purpose", "standing", "expected"),
    [
        (Purpose.SYNC, Standing.ABSENT, Road.INITIALISE),
        (Purpose.SYNC, Standing.BOOKED, Road.CHANGE),
        (Purpose.SYNC, Standing.UNBOOKED, LayoutError),
        (Purpose.SYNC, Standing.LOST, Road.INITIALISE),
        (Purpose.SYNC, Standing.OTHER, LayoutError),
        (Purpose.INIT, Standing.ABSENT, Road.INITIALISE),
        (Purpose.INIT, Standing.LOST, Road.INITIALISE),
        (Purpose.INIT, Standing.OTHER, LayoutError),
        (Purpose.INIT, Standing.BOOKED, AlreadyReplicatedError),
        (Purpose.INIT, Standing.UNBOOKED, LayoutError),
        (Purpose.UPDATE, Standing.ABSENT, NotReplicatedError),
        (Purpose.UPDATE, Standing.BOOKED, Road.CHANGE),
        (Purpose.UPDATE, Standing.UNBOOKED, LayoutError),
        (Purpose.UPDATE, Standing.LOST, NotReplicatedError),
        (Purpose.UPDATE, Standing.OTHER, LayoutError),
    ],
)
def test_how_a_table_sets_out(purpose: Purpose, standing: Standing, expected: Road | type[DapError]) -> None:
    way = road(purpose, "users", standing, BOOK if standing in (Standing.BOOKED, Standing.LOST) else None)
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


def test_a_table_of_logs_that_was_left_for_three_weeks_is_in_danger() -> None:
    assert overdue(LOG_BOOK, NOON + 21 * DAY - SECOND) is None
    warning = overdue(LOG_BOOK, NOON + 25 * DAY)
    assert warning is not None
    assert "web_logs was last brought up to date 25 days ago" in warning
    assert "30 days" in warning
    assert "weekly" in warning
    assert overdue(LOG_BOOK, NOON + 21 * DAY) is not None
    assert overdue(BOOK, NOON + 400 * DAY) is None, "of other tables the service forgets nothing"


def test_after_thirty_days_rows_of_logs_are_lost() -> None:
    assert lost(LOG_BOOK, NOON + 30 * DAY) is None
    loss = lost(LOG_BOOK, NOON + 33 * DAY)
    assert loss is not None
    assert "2026-09-01T12:00:00Z" in loss
    assert "2026-09-04T12:00:00Z" in loss
    assert lost(BOOK, NOON + 33 * DAY) is None


def test_only_logs_expire_and_only_after_the_service_forgot_them() -> None:
    check_expiry("canvas", None)
    check_expiry(LOGS, 31 * DAY)
    with pytest.raises(UsageError, match="1,000,000"):
        check_expiry(LOGS, 1_000_000 * DAY)
    with pytest.raises(UsageError, match="30 days"):
        check_expiry(LOGS, 31 * DAY - SECOND)
    with pytest.raises(UsageError, match="canvas"):
        check_expiry("canvas", 400 * DAY)


def test_rows_expire_by_the_time_of_their_event_as_of_the_watermark() -> None:
    logs = table_of({"timestamp": MOMENT, "url": TEXT}, namespace=LOGS)
    assert expiry(logs, NOON, NOON + DAY, 31 * DAY) == Expiry(column="timestamp", before=NOON - 31 * DAY)


def test_a_service_that_is_ahead_of_the_clock_lets_nothing_expire_too_early() -> None:
    logs = table_of({"timestamp": MOMENT}, namespace=LOGS)
    assert expiry(logs, NOON + 999 * DAY, NOON, 31 * DAY) == Expiry(column="timestamp", before=NOON - 31 * DAY)


@pytest.mark.parametrize("columns", [{"url": TEXT}, {"timestamp": TEXT}, {"Timestamp": MOMENT}])
def test_without_the_time_of_an_event_nothing_expires(columns: dict[str, dict[str, str]]) -> None:
    assert expiry(table_of(columns, namespace=LOGS), NOON, NOON, 31 * DAY) is None
