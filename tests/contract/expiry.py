"""Part of the contract: rows that are too old are deleted with the change, or by themselves, and only where asked."""

import json
from datetime import datetime
from typing import Any

import pytest
from tests.contract.scene import Scene, interrupted, stale
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import MovedOnError
from dapkit.targets.base import Counts, Expiry, Load, LoadOptions, Parts

MOMENT = {"type": "string", "format": "date-time"}
LOGS = table_of({"timestamp": MOMENT, "url": TEXT}, required=["timestamp"], name="50% logs")
BEFORE = datetime.fromisoformat("2024-02-01T00:00:00.500Z")
EXPIRING = LoadOptions(expire=Expiry(column="timestamp", before=BEFORE), keep_missing=True)


def row(number: int, moment: str) -> dict[str, Any]:
    return {"id": number, "timestamp": f"{moment}Z", "url": f"/{number}"}


OLD, OLDER = row(1, "2024-02-01T00:00:00.499"), row(2, "0099-12-31T23:59:59")
EDGE, LATER, NEW = row(3, "2024-02-01T00:00:01"), row(4, "2024-02-01T00:00:01.500"), row(5, "2024-03-01T12:00:00")


def last_note(scene: Scene) -> tuple[str, dict[str, Any]]:
    history = scene.session.dialect.book("dapkit_history")
    notes = scene.place.ask(f"SELECT event, detail FROM {history} ORDER BY time")
    event, detail = notes[-1]
    return event, json.loads(detail)


def nothing(scene: Scene) -> Load:
    """Return a load without rows that leaves the table where it is."""
    return Load(table=LOGS, parts=Parts(paths=(), rows=0), watermark=scene.book(LOGS).watermark, options=EXPIRING)


class ExpiryContract:
    @pytest.mark.parametrize("road", ["change", "replace"])
    def test_rows_that_are_too_old_go_with_the_change(self, scene: Scene, road: str) -> None:
        scene.initialise(LOGS, [OLD, EDGE])
        load = scene.change if road == "change" else scene.replace
        counts = load(LOGS, [OLDER, LATER, NEW], EXPIRING)
        assert counts == Counts(written=3, expired=2)
        scene.holds(LOGS, [EDGE, LATER, NEW])
        assert last_note(scene)[1]["expired"] == 2

    def test_a_first_load_leaves_them_out_too(self, scene: Scene) -> None:
        assert scene.initialise(LOGS, [OLD, OLDER, NEW], EXPIRING).expired == 2
        scene.holds(LOGS, [NEW])

    def test_where_nothing_is_to_be_changed_they_go_by_themselves(self, scene: Scene) -> None:
        scene.initialise(LOGS, [OLD, EDGE, NEW])
        assert scene.session.expire(nothing(scene), scene.book(LOGS)) == Counts(written=0, expired=1)
        scene.holds(LOGS, [EDGE, NEW])
        event, detail = last_note(scene)
        assert (event, detail["expired"]) == ("expired", 1)
        assert scene.session.expire(nothing(scene), scene.book(LOGS)).expired == 0

    def test_they_stay_where_the_table_moved_on(self, scene: Scene) -> None:
        scene.initialise(LOGS, [OLD, NEW])
        with scene.refused(LOGS, MovedOnError):
            scene.session.expire(nothing(scene), stale(scene.book(LOGS)))
        with scene.refused(LOGS, MovedOnError):
            load = scene.load(LOGS, scene.parts(LOGS, [EDGE], action=True), EXPIRING)
            scene.session.change(load, stale(scene.book(LOGS)))

    @pytest.mark.parametrize("road", ["change", "expire"])
    def test_they_stay_whenever_it_breaks(self, scene: Scene, road: str) -> None:
        scene.initialise(LOGS, [OLD, NEW])
        for step in range(1, 100):
            load = nothing(scene)
            if road == "change":
                load = scene.load(LOGS, scene.parts(LOGS, [EDGE, OLDER], action=True), EXPIRING)
            with interrupted(scene.session, step) as breaks:
                getattr(scene.session, road)(load, scene.book(LOGS))
            if not breaks.happened:
                break
            scene.reopen()
            assert [each["id"] for each in scene.rows(LOGS)] == [1, 5]
        scene.holds(LOGS, [EDGE, NEW] if road == "change" else [NEW])
