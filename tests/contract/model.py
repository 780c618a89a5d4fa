"""A minimal service, and a target that has to stay equal to it: the two sides of the model test.

The service knows every change of every key with its time. So it can return its table at any time, and any increment as
the real service would: one row per key with its last state, although sometimes a key occurs more than once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.contract.database_fixture import DatabaseFixture, Values
from tests.contract.table_fixture import interrupted
from tests.support.table_schemas import INT32, TEXT, Node, table_of
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.errors import ConcurrentUpdateError
from dapkit.model import Table
from dapkit.targets.base import Load, SyncState

__all__ = ["Follower", "Key", "Service"]

Key = tuple[int, str]
_BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
_KEY: dict[str, Node] = {"id": INT32, "part": TEXT | {"maxLength": 8}}


@dataclass(frozen=True)
class Event:
    """A key got these values, or was deleted (None)."""

    time: int
    key: Key
    values: Values | None


@dataclass
class Service:
    """A table of the service: its columns, and everything that ever happened."""

    columns: dict[str, Node] = field(default_factory=lambda: {"c0": TEXT, "n": INT32})
    version: int = 1
    now: int = 1
    events: list[Event] = field(default_factory=list)

    @property
    def table(self) -> Table:
        """The table in the current version of the schema."""
        return table_of(self.columns, key=_KEY, version=self.version)

    def write(self, changes: Mapping[Key, Values | None]) -> None:
        """Advance the time by one, and change these keys."""
        self.now += 1
        self.events += [Event(self.now, key, values) for key, values in changes.items()]

    def alter(self, columns: dict[str, Node]) -> None:
        """Publish another version of the schema."""
        self.columns, self.version = columns, self.version + 1

    def rows(self, until: int) -> dict[Key, Values]:
        """Return the rows at a time."""
        state: dict[Key, Values | None] = {}
        for event in self.events:
            if event.time <= until:
                state[event.key] = event.values
        return {key: values for key, values in state.items() if values is not None}

    def snapshot(self) -> list[Row]:
        """Return all rows as a snapshot has them."""
        times = {event.key: event.time for event in self.events}
        return [Row(self._row(key, values), _ts(times[key])) for key, values in self.rows(self.now).items()]

    def increment(self, since: int, *, repeated: bool) -> list[Row]:
        """Return the last state of each key that changed since then; `repeated`: its earlier states as well."""
        changed = [event for event in self.events if event.time > since]
        last = changed if repeated else list({event.key: event for event in changed}.values())
        return [
            Row(self._row(event.key, event.values or {}), _ts(event.time), "D" if event.values is None else "U")
            for event in sorted(last, key=lambda event: (event.key, -event.time))
        ]

    def _row(self, key: Key, values: Values) -> Values:
        return {"id": key[0], "part": key[1]} | {name: values.get(name) for name in self.columns}


def watermark(time: int) -> datetime:
    """Return a time of the service as a watermark."""
    return _BEGIN + timedelta(seconds=time)


def _ts(time: int) -> str:
    """Return a time in the format of rows: with as few decimals as possible."""
    text = (_BEGIN + timedelta(milliseconds=250 * time)).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


@dataclass(frozen=True)
class Applied:
    """A completed load: its action, and the sync state before it."""

    action: str
    load: Load
    before: SyncState | None


@dataclass
class Follower:
    """A target that follows the service: it has to contain the rows `expected` of the table `shape`, as of `at`."""

    database: DatabaseFixture
    folder: Path
    expected: dict[Key, Values] = field(default_factory=dict)
    shape: Table | None = None
    at: int = 0
    last: Applied | None = None

    def __post_init__(self) -> None:
        self.session = self.database.open()
        self.session.prepare("canvas", sandbox=False)

    def sync(self, service: Service, *, action: str, overlap: int, repeated: bool, interrupt_at: int | None) -> None:
        """Bring the table up to date; an interruption at some statement leaves it unchanged."""
        table = service.table
        before = self.session.sync_states("canvas").get(table.name)
        action = "initial_load" if before is None else action
        increment = action == "apply_increment"
        rows = service.increment(self.at - overlap, repeated=repeated) if increment else service.snapshot()
        parts = write_parts(self.folder, table, rows, Layout(action=increment, files=2))
        step = Applied(action, Load(table=table, files=parts, watermark=watermark(service.now)), before)
        with interrupted(self.session, interrupt_at or 0) as interruption:
            self._run(step)
        if interruption.happened:
            self.session.close()
            self.session = self.database.open()
        else:
            self.expected, self.shape, self.at, self.last = service.rows(service.now), table, service.now, step
        self.check()

    def close(self) -> None:
        """Close the session."""
        self.session.close()

    def _run(self, step: Applied) -> None:
        if step.before is None:
            self.session.initial_load(step.load)
        else:
            (self.session.apply_increment if step.action == "apply_increment" else self.session.full_refresh)(
                step.load, step.before
            )

    def replay(self) -> None:
        """Apply the last load once more, as if the service returned a job that was applied already."""
        if self.last is not None and self.last.before is not None:
            self._run(replace(self.last, before=self.session.sync_states("canvas")["things"]))
        self.check()

    def apply_stale(self) -> None:
        """Apply the last load with the old sync state, as a process that missed the first application."""
        before = self.last.before if self.last is not None else None
        if self.last is not None and before is not None and before.watermark != self.last.load.watermark:
            with pytest.raises(ConcurrentUpdateError):
                self._run(self.last)
        self.check()

    def check(self) -> None:
        """Assert that the table equals that of the service, and that the sync state has the time of it."""
        sync_states = self.session.sync_states("canvas")
        if self.shape is None:
            assert sync_states == {}
            return
        names = [column.name for column in self.shape.columns]
        full = [{"id": key[0], "part": key[1]} | values for key, values in self.expected.items()]
        expected = [{name: row.get(name) for name in names} for row in full]
        assert sorted(self.database.rows(self.shape), key=repr) == sorted(expected, key=repr)
        assert sync_states["things"].watermark == watermark(self.at)
        assert sync_states["things"].schema.version == self.shape.version
