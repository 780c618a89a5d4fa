"""Contract: expired rows are deleted with a load, or separately, and only on request."""

import json
from datetime import datetime
from typing import Any

import pytest
from tests.contract.table_fixture import SqlTableFixture, TableFixture, interrupted, stale
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import ConcurrentUpdateError
from dapkit.results import LoadStats
from dapkit.targets.base import DataFiles, Load, LoadOptions, RetentionCutoff

MOMENT = {"type": "string", "format": "date-time"}
LOGS = table_of({"timestamp": MOMENT, "url": TEXT}, required=["timestamp"], name="50% logs")
BEFORE = datetime.fromisoformat("2024-02-01T00:00:00.500Z")
EXPIRING = LoadOptions(expire=RetentionCutoff(column="timestamp", before=BEFORE), keep_missing=True)


def row(number: int, moment: str) -> dict[str, Any]:
    return {"id": number, "timestamp": f"{moment}Z", "url": f"/{number}"}


OLD, OLDER = row(1, "2024-02-01T00:00:00.499"), row(2, "0099-12-31T23:59:59")
EDGE, LATER, NEW = row(3, "2024-02-01T00:00:01"), row(4, "2024-02-01T00:00:01.500"), row(5, "2024-03-01T12:00:00")


def last_entry(fixture: SqlTableFixture) -> tuple[str, dict[str, Any]]:
    history = fixture.state_table("dapkit_history")
    entries = fixture.database.query(f"SELECT event, detail FROM {history} ORDER BY time")
    event, detail = entries[-1]
    return event, json.loads(detail)


def empty_load(fixture: TableFixture) -> Load:
    """Return a load without rows that keeps the watermark."""
    return Load(
        table=LOGS, files=DataFiles(paths=(), rows=0), watermark=fixture.state(LOGS).watermark, options=EXPIRING
    )


class RetentionContract:
    def test_an_initial_load_skips_expired_rows(self, fixture: TableFixture) -> None:
        assert fixture.initial_load(LOGS, [OLD, OLDER, NEW], EXPIRING).expired == 2
        fixture.assert_holds(LOGS, [NEW])

    def test_a_stale_watermark_deletes_no_expired_rows(self, fixture: TableFixture) -> None:
        fixture.initial_load(LOGS, [OLD, NEW])
        with fixture.rejected(LOGS, ConcurrentUpdateError):
            fixture.session.delete_expired(empty_load(fixture), stale(fixture.state(LOGS)))
        with fixture.rejected(LOGS, ConcurrentUpdateError):
            load = fixture.load(LOGS, fixture.files(LOGS, [EDGE], action=True), EXPIRING)
            fixture.session.apply_increment(load, stale(fixture.state(LOGS)))


class SqlRetentionContract(RetentionContract):
    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_expired_rows_are_deleted_with_the_load(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(LOGS, [OLD, EDGE])
        load = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        counts = load(LOGS, [OLDER, LATER, NEW], EXPIRING)
        assert counts == LoadStats(written=3, expired=2)
        fixture.assert_holds(LOGS, [EDGE, LATER, NEW])
        assert last_entry(fixture)[1]["expired"] == 2

    def test_expired_rows_are_deleted_without_other_changes(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(LOGS, [OLD, EDGE, NEW])
        assert fixture.session.delete_expired(empty_load(fixture), fixture.state(LOGS)) == LoadStats(
            written=0, expired=1
        )
        fixture.assert_holds(LOGS, [EDGE, NEW])
        event, detail = last_entry(fixture)
        assert (event, detail["expired"]) == ("expired", 1)
        assert fixture.session.delete_expired(empty_load(fixture), fixture.state(LOGS)).expired == 0

    @pytest.mark.parametrize("action", ["apply_increment", "delete_expired"])
    def test_an_interruption_at_any_step_deletes_no_expired_rows(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(LOGS, [OLD, NEW])
        for step in range(1, 100):
            load = empty_load(fixture)
            if action == "apply_increment":
                load = fixture.load(LOGS, fixture.files(LOGS, [EDGE, OLDER], action=True), EXPIRING)
            with interrupted(fixture.session, step) as interruption:
                getattr(fixture.session, action)(load, fixture.state(LOGS))
            if not interruption.happened:
                break
            fixture.reopen()
            assert [each["id"] for each in fixture.rows(LOGS)] == [1, 5]
        fixture.assert_holds(LOGS, [EDGE, NEW] if action == "apply_increment" else [NEW])
