"""The road that a table takes, as a table of cases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import (
    AlreadyReplicatedError,
    DapError,
    IncompatibleLayoutError,
    NetworkError,
    NotReplicatedError,
    OutOfRangeError,
    SchemaChangeNotSupportedError,
    SnapshotRequiredError,
    UsageError,
)
from dapkit.model import VersionedSchema
from dapkit.replication.plan import (
    LOGS,
    Rejected,
    check_expiry,
    data_loss_warning,
    expiry,
    fallback,
    is_stale_job,
    plan_action,
    staleness_warning,
)
from dapkit.results import SyncAction, SyncCommand
from dapkit.targets.base import RetentionCutoff, SyncState, TableStatus

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
BOOK = SyncState(
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
    ("command", "status", "expected"),
    [
        (SyncCommand.SYNC, TableStatus.ABSENT, SyncAction.INITIAL_LOAD),
        (SyncCommand.SYNC, TableStatus.MANAGED, SyncAction.INCREMENTAL),
        (SyncCommand.SYNC, TableStatus.UNMANAGED, IncompatibleLayoutError),
        (SyncCommand.SYNC, TableStatus.DROPPED, SyncAction.INITIAL_LOAD),
        (SyncCommand.SYNC, TableStatus.NOT_A_TABLE, IncompatibleLayoutError),
        (SyncCommand.INIT, TableStatus.ABSENT, SyncAction.INITIAL_LOAD),
        (SyncCommand.INIT, TableStatus.DROPPED, SyncAction.INITIAL_LOAD),
        (SyncCommand.INIT, TableStatus.NOT_A_TABLE, IncompatibleLayoutError),
        (SyncCommand.INIT, TableStatus.MANAGED, AlreadyReplicatedError),
        (SyncCommand.INIT, TableStatus.UNMANAGED, IncompatibleLayoutError),
        (SyncCommand.UPDATE, TableStatus.ABSENT, NotReplicatedError),
        (SyncCommand.UPDATE, TableStatus.MANAGED, SyncAction.INCREMENTAL),
        (SyncCommand.UPDATE, TableStatus.UNMANAGED, IncompatibleLayoutError),
        (SyncCommand.UPDATE, TableStatus.DROPPED, NotReplicatedError),
        (SyncCommand.UPDATE, TableStatus.NOT_A_TABLE, IncompatibleLayoutError),
    ],
)
def test_how_a_table_sets_out(command: SyncCommand, status: TableStatus, expected: SyncAction | type[DapError]) -> None:
    way = plan_action(command, "users", status, BOOK if status in (TableStatus.MANAGED, TableStatus.DROPPED) else None)
    if isinstance(expected, SyncAction):
        assert way is expected
    else:
        assert isinstance(way, Rejected)
        assert isinstance(way.error, expected)
        assert way.error.table == "users"
        assert way.error.hint


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (SyncCommand.SYNC, SyncAction.INCREMENTAL),
        (SyncCommand.INIT, SyncAction.SKIP),
        (SyncCommand.UPDATE, SyncAction.INCREMENTAL),
    ],
)
def test_what_is_on_the_books_by_now_may_be_of_our_own_making(command: SyncCommand, expected: SyncAction) -> None:
    assert plan_action(command, "users", TableStatus.MANAGED, BOOK, again=True) is expected


@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.INIT])
def test_what_is_not_on_the_books_is_repaired_only_when_that_is_wanted(command: SyncCommand) -> None:
    assert plan_action(command, "users", TableStatus.UNMANAGED, None, repair=True) is SyncAction.REPAIR
    assert plan_action(command, "users", TableStatus.ABSENT, None, repair=True) is SyncAction.INITIAL_LOAD


def test_a_table_that_is_young_enough_is_left_alone() -> None:
    def at(moment: datetime) -> SyncAction | Rejected:
        return plan_action(SyncCommand.SYNC, "users", TableStatus.MANAGED, BOOK, fresh_until=moment)

    assert at(NOON) is SyncAction.SKIP
    assert at(NOON + timedelta(seconds=1)) is SyncAction.INCREMENTAL


@pytest.mark.parametrize(
    "error", [SnapshotRequiredError("x"), OutOfRangeError("x"), SchemaChangeNotSupportedError("x")]
)
def test_only_sync_takes_a_fresh_snapshot_by_itself(error: DapError) -> None:
    assert fallback(SyncCommand.SYNC, error) is SyncAction.FULL_REFRESH
    assert fallback(SyncCommand.UPDATE, error) is None


def test_other_errors_are_final() -> None:
    assert fallback(SyncCommand.SYNC, NetworkError("x")) is None


def test_an_old_job_given_once_more_is_recognised() -> None:
    assert is_stale_job(NOON, BOOK, NOON + timedelta(hours=5))
    assert not is_stale_job(NOON, BOOK, NOON + timedelta(hours=3)), "nothing new can be expected yet"
    assert not is_stale_job(NOON + timedelta(seconds=1), BOOK, NOON + timedelta(hours=5))


def test_a_table_of_logs_that_was_left_for_three_weeks_is_in_danger() -> None:
    assert staleness_warning(LOG_BOOK, NOON + 21 * DAY - SECOND) is None
    warning = staleness_warning(LOG_BOOK, NOON + 25 * DAY)
    assert warning is not None
    assert "web_logs was last brought up to date 25 days ago" in warning
    assert "30 days" in warning
    assert "weekly" in warning
    assert staleness_warning(LOG_BOOK, NOON + 21 * DAY) is not None
    assert staleness_warning(BOOK, NOON + 400 * DAY) is None, "of other tables the service forgets nothing"


def test_after_thirty_days_rows_of_logs_are_lost() -> None:
    assert data_loss_warning(LOG_BOOK, NOON + 30 * DAY) is None
    loss = data_loss_warning(LOG_BOOK, NOON + 33 * DAY)
    assert loss is not None
    assert "2026-09-01T12:00:00Z" in loss
    assert "2026-09-04T12:00:00Z" in loss
    assert data_loss_warning(BOOK, NOON + 33 * DAY) is None


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
    assert expiry(logs, NOON, NOON + DAY, 31 * DAY) == RetentionCutoff(column="timestamp", before=NOON - 31 * DAY)


def test_a_service_that_is_ahead_of_the_clock_lets_nothing_expire_too_early() -> None:
    logs = table_of({"timestamp": MOMENT}, namespace=LOGS)
    assert expiry(logs, NOON + 999 * DAY, NOON, 31 * DAY) == RetentionCutoff(column="timestamp", before=NOON - 31 * DAY)


@pytest.mark.parametrize("columns", [{"url": TEXT}, {"timestamp": TEXT}, {"Timestamp": MOMENT}])
def test_without_the_time_of_an_event_nothing_expires(columns: dict[str, dict[str, str]]) -> None:
    assert expiry(table_of(columns, namespace=LOGS), NOON, NOON, 31 * DAY) is None
