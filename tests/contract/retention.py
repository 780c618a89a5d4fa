"""Part of the contract: rows that are too old are deleted with the change, or by themselves, and only where asked."""

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


def last_note(fixture: SqlTableFixture) -> tuple[str, dict[str, Any]]:
    history = fixture.state_table("dapkit_history")
    notes = fixture.database.ask(f"SELECT event, detail FROM {history} ORDER BY time")
    event, detail = notes[-1]
    return event, json.loads(detail)


def nothing(fixture: TableFixture) -> Load:
    """Return a load without rows that leaves the table where it is."""
    return Load(
        table=LOGS, parts=DataFiles(paths=(), rows=0), watermark=fixture.state(LOGS).watermark, options=EXPIRING
    )


class RetentionContract:
    def test_a_first_load_leaves_them_out_too(self, fixture: TableFixture) -> None:
        assert fixture.initial_load(LOGS, [OLD, OLDER, NEW], EXPIRING).expired == 2
        fixture.holds(LOGS, [NEW])

    def test_they_stay_where_the_table_moved_on(self, fixture: TableFixture) -> None:
        fixture.initial_load(LOGS, [OLD, NEW])
        with fixture.refused(LOGS, ConcurrentUpdateError):
            fixture.session.delete_expired(nothing(fixture), stale(fixture.state(LOGS)))
        with fixture.refused(LOGS, ConcurrentUpdateError):
            load = fixture.load(LOGS, fixture.parts(LOGS, [EDGE], action=True), EXPIRING)
            fixture.session.apply_increment(load, stale(fixture.state(LOGS)))


class SqlRetentionContract(RetentionContract):
    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_rows_that_are_too_old_go_with_the_change(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(LOGS, [OLD, EDGE])
        load = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        counts = load(LOGS, [OLDER, LATER, NEW], EXPIRING)
        assert counts == LoadStats(written=3, expired=2)
        fixture.holds(LOGS, [EDGE, LATER, NEW])
        assert last_note(fixture)[1]["expired"] == 2

    def test_where_nothing_is_to_be_changed_they_go_by_themselves(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(LOGS, [OLD, EDGE, NEW])
        assert fixture.session.delete_expired(nothing(fixture), fixture.state(LOGS)) == LoadStats(written=0, expired=1)
        fixture.holds(LOGS, [EDGE, NEW])
        event, detail = last_note(fixture)
        assert (event, detail["expired"]) == ("expired", 1)
        assert fixture.session.delete_expired(nothing(fixture), fixture.state(LOGS)).expired == 0

    @pytest.mark.parametrize("action", ["apply_increment", "delete_expired"])
    def test_they_stay_whenever_it_breaks(self, fixture: SqlTableFixture, action: str) -> None:
        fixture.initial_load(LOGS, [OLD, NEW])
        for step in range(1, 100):
            load = nothing(fixture)
            if action == "apply_increment":
                load = fixture.load(LOGS, fixture.parts(LOGS, [EDGE, OLDER], action=True), EXPIRING)
            with interrupted(fixture.session, step) as breaks:
                getattr(fixture.session, action)(load, fixture.state(LOGS))
            if not breaks.happened:
                break
            fixture.reopen()
            assert [each["id"] for each in fixture.rows(LOGS)] == [1, 5]
        fixture.holds(LOGS, [EDGE, NEW] if action == "apply_increment" else [NEW])
