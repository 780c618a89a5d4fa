"""Part of the contract: rows that are too old are deleted with the change, or by themselves, and only where asked."""

import json
from datetime import datetime
from typing import Any

import pytest
from tests.contract.table_fixture import Scene, interrupted, stale
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


def last_note(scene: Scene) -> tuple[str, dict[str, Any]]:
    history = scene.session.dialect.state_table("dapkit_history")
    notes = scene.place.ask(f"SELECT event, detail FROM {history} ORDER BY time")
    event, detail = notes[-1]
    return event, json.loads(detail)


def nothing(scene: Scene) -> Load:
    """Return a load without rows that leaves the table where it is."""
    return Load(
        table=LOGS, parts=DataFiles(paths=(), rows=0), watermark=scene.state_table(LOGS).watermark, options=EXPIRING
    )


class ExpiryContract:
    @pytest.mark.parametrize("action", ["change", "replace"])
    def test_rows_that_are_too_old_go_with_the_change(self, scene: Scene, action: str) -> None:
        scene.initialise(LOGS, [OLD, EDGE])
        load = scene.change if action == "change" else scene.replace
        counts = load(LOGS, [OLDER, LATER, NEW], EXPIRING)
        assert counts == LoadStats(written=3, expired=2)
        scene.holds(LOGS, [EDGE, LATER, NEW])
        assert last_note(scene)[1]["expired"] == 2

    def test_a_first_load_leaves_them_out_too(self, scene: Scene) -> None:
        assert scene.initialise(LOGS, [OLD, OLDER, NEW], EXPIRING).expired == 2
        scene.holds(LOGS, [NEW])

    def test_where_nothing_is_to_be_changed_they_go_by_themselves(self, scene: Scene) -> None:
        scene.initialise(LOGS, [OLD, EDGE, NEW])
        assert scene.session.expire(nothing(scene), scene.state_table(LOGS)) == LoadStats(written=0, expired=1)
        scene.holds(LOGS, [EDGE, NEW])
        event, detail = last_note(scene)
        assert (event, detail["expired"]) == ("expired", 1)
        assert scene.session.expire(nothing(scene), scene.state_table(LOGS)).expired == 0

    def test_they_stay_where_the_table_moved_on(self, scene: Scene) -> None:
        scene.initialise(LOGS, [OLD, NEW])
        with scene.refused(LOGS, ConcurrentUpdateError):
            scene.session.expire(nothing(scene), stale(scene.state_table(LOGS)))
        with scene.refused(LOGS, ConcurrentUpdateError):
            load = scene.load(LOGS, scene.parts(LOGS, [EDGE], action=True), EXPIRING)
            scene.session.change(load, stale(scene.state_table(LOGS)))

    @pytest.mark.parametrize("action", ["change", "expire"])
    def test_they_stay_whenever_it_breaks(self, scene: Scene, action: str) -> None:
        scene.initialise(LOGS, [OLD, NEW])
        for step in range(1, 100):
            load = nothing(scene)
            if action == "change":
                load = scene.load(LOGS, scene.parts(LOGS, [EDGE, OLDER], action=True), EXPIRING)
            with interrupted(scene.session, step) as breaks:
                getattr(scene.session, action)(load, scene.state_table(LOGS))
            if not breaks.happened:
                break
            scene.reopen()
            assert [each["id"] for each in scene.rows(LOGS)] == [1, 5]
        scene.holds(LOGS, [EDGE, NEW] if action == "change" else [NEW])
