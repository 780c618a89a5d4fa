"""Part of the contract: rows that are too old are deleted with the change, or by themselves, and only where asked."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.contract.scene import Scene, stale
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
        nothing = Load(
            table=LOGS, parts=Parts(paths=(), rows=0), watermark=scene.book(LOGS).watermark, options=EXPIRING
        )
        assert scene.session.expire(nothing, scene.book(LOGS)) == Counts(written=0, expired=1)
        scene.holds(LOGS, [EDGE, NEW])
        event, detail = last_note(scene)
        assert (event, detail["expired"]) == ("expired", 1)
        assert scene.session.expire(nothing, scene.book(LOGS)).expired == 0
        with scene.refused(LOGS, MovedOnError):
            scene.session.expire(nothing, stale(scene.book(LOGS)))

    def test_a_change_that_breaks_deletes_nothing(self, scene: Scene) -> None:
        scene.initialise(LOGS, [OLD, NEW])
        beyond = LoadOptions(expire=Expiry(column="timestamp", before=scene.now + timedelta(days=1)))
        with scene.refused(LOGS):
            load = scene.load(LOGS, scene.parts(LOGS, [EDGE], action=True), beyond)
            scene.session.change(load, stale(scene.book(LOGS)))
        assert scene.change(LOGS, [EDGE], beyond).expired == 3
        scene.holds(LOGS, [])
