"""What is done with a table, for every command and state."""

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
from dapkit.protocol.namespaces import LOGS
from dapkit.replication.plan import (
    Rejected,
    check_expire_logs,
    data_loss_warning,
    fallback,
    is_stale_job,
    plan_action,
    retention_cutoff,
    staleness_warning,
)
from dapkit.results import SyncAction, SyncCommand
from dapkit.targets.base import RetentionCutoff, SyncState, TableStatus

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
STATE = SyncState(
    namespace="canvas",
    table="users",
    watermark=NOON,
    schema=VersionedSchema(namespace="canvas", table="users", version=1, document={}),
)
LOG_STATE = replace(STATE, namespace=LOGS, table="web_logs")
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
def test_plan_action(command: SyncCommand, status: TableStatus, expected: SyncAction | type[DapError]) -> None:
    action = plan_action(
        command, "users", status, STATE if status in (TableStatus.MANAGED, TableStatus.DROPPED) else None
    )
    if isinstance(expected, SyncAction):
        assert action is expected
    else:
        assert isinstance(action, Rejected)
        assert isinstance(action.error, expected)
        assert action.error.table == "users"
        assert action.error.hint


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (SyncCommand.SYNC, SyncAction.INCREMENTAL),
        (SyncCommand.INIT, SyncAction.SKIP),
        (SyncCommand.UPDATE, SyncAction.INCREMENTAL),
    ],
)
def test_on_a_retry_the_sync_state_may_be_our_own(command: SyncCommand, expected: SyncAction) -> None:
    assert plan_action(command, "users", TableStatus.MANAGED, STATE, retried=True) is expected


@pytest.mark.parametrize("command", [SyncCommand.SYNC, SyncCommand.INIT])
def test_unmanaged_tables_are_repaired_only_on_request(command: SyncCommand) -> None:
    assert plan_action(command, "users", TableStatus.UNMANAGED, None, repair=True) is SyncAction.REPAIR
    assert plan_action(command, "users", TableStatus.ABSENT, None, repair=True) is SyncAction.INITIAL_LOAD


def test_a_table_that_is_new_enough_is_skipped() -> None:
    def at(moment: datetime) -> SyncAction | Rejected:
        return plan_action(SyncCommand.SYNC, "users", TableStatus.MANAGED, STATE, skip_from=moment)

    assert at(NOON) is SyncAction.SKIP
    assert at(NOON + timedelta(seconds=1)) is SyncAction.INCREMENTAL


@pytest.mark.parametrize(
    "error", [SnapshotRequiredError("x"), OutOfRangeError("x"), SchemaChangeNotSupportedError("x")]
)
def test_only_sync_falls_back_to_a_full_refresh(error: DapError) -> None:
    assert fallback(SyncCommand.SYNC, error) is SyncAction.FULL_REFRESH
    assert fallback(SyncCommand.UPDATE, error) is None


def test_other_errors_are_final() -> None:
    assert fallback(SyncCommand.SYNC, NetworkError("x")) is None


def test_stale_jobs_are_recognised() -> None:
    assert is_stale_job(NOON, STATE, NOON + timedelta(hours=5))
    assert not is_stale_job(NOON, STATE, NOON + timedelta(hours=3)), "nothing new can be expected yet"
    assert not is_stale_job(NOON + timedelta(seconds=1), STATE, NOON + timedelta(hours=5))


def test_a_table_of_logs_is_reported_after_three_weeks() -> None:
    assert staleness_warning(LOG_STATE, NOON + 21 * DAY - SECOND) is None
    warning = staleness_warning(LOG_STATE, NOON + 25 * DAY)
    assert warning is not None
    assert "web_logs was last updated 25 days ago" in warning
    assert "30 days" in warning
    assert "weekly" in warning
    assert staleness_warning(LOG_STATE, NOON + 21 * DAY) is not None
    assert staleness_warning(STATE, NOON + 400 * DAY) is None, "the service keeps other tables"


def test_after_30_days_log_rows_are_lost() -> None:
    assert data_loss_warning(LOG_STATE, NOON + 30 * DAY) is None
    loss = data_loss_warning(LOG_STATE, NOON + 33 * DAY)
    assert loss is not None
    assert "2026-09-01T12:00:00Z" in loss
    assert "2026-09-04T12:00:00Z" in loss
    assert data_loss_warning(STATE, NOON + 33 * DAY) is None


def test_only_logs_can_expire_and_only_after_the_service_has_deleted_them() -> None:
    check_expire_logs("canvas", None)
    check_expire_logs(LOGS, 31 * DAY)
    with pytest.raises(UsageError, match="1,000,000"):
        check_expire_logs(LOGS, 1_000_000 * DAY)
    with pytest.raises(UsageError, match="30 days"):
        check_expire_logs(LOGS, 31 * DAY - SECOND)
    with pytest.raises(UsageError, match="canvas"):
        check_expire_logs("canvas", 400 * DAY)


def test_rows_expire_by_the_time_of_the_event() -> None:
    logs = table_of({"timestamp": MOMENT, "url": TEXT}, namespace=LOGS)
    assert retention_cutoff(logs, NOON, NOON + DAY, 31 * DAY) == RetentionCutoff(
        column="timestamp", before=NOON - 31 * DAY
    )


def test_a_wrong_clock_of_the_service_does_not_expire_rows() -> None:
    logs = table_of({"timestamp": MOMENT}, namespace=LOGS)
    assert retention_cutoff(logs, NOON + 999 * DAY, NOON, 31 * DAY) == RetentionCutoff(
        column="timestamp", before=NOON - 31 * DAY
    )


@pytest.mark.parametrize("columns", [{"url": TEXT}, {"timestamp": TEXT}, {"Timestamp": MOMENT}])
def test_without_the_time_of_the_event_nothing_expires(columns: dict[str, dict[str, str]]) -> None:
    assert retention_cutoff(table_of(columns, namespace=LOGS), NOON, NOON, 31 * DAY) is None
