"""One table's story in a test: every load writes its files, moves the watermark on, and names what the books say."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contract.database_fixture import Place, Values
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.errors import DapError
from dapkit.model import Column, Table
from dapkit.results import LoadStats
from dapkit.targets.base import DataFiles, Load, LoadOptions, SyncState
from dapkit.targets.sql.session import SqlSession

__all__ = ["PLAIN", "Scene", "interrupted", "stale"]

_BEGIN = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_HOUR = timedelta(hours=1)
PLAIN = LoadOptions()


class Scene:
    """A session on an empty place that is prepared, and a folder for files."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self.now = _BEGIN
        self.session = place.open()
        self.session.prepare("canvas", sandbox=False)

    def reopen(self) -> None:
        """Go on with another session, as after a crash."""
        self.session.close()
        self.session = self.place.open()

    # Loads

    def parts(self, table: Table, rows: Sequence[Row | Values], *, action: bool, **layout: Any) -> DataFiles:
        """Write files; a plain dict is a row of the usual age."""
        full = [row if isinstance(row, Row) else Row(row) for row in rows]
        return write_parts(self.folder, table, full, Layout(action=action, **layout))

    def load(self, table: Table, parts: DataFiles, options: LoadOptions = PLAIN) -> Load:
        """Return what the next load would be, an hour after the last."""
        self.now += _HOUR
        return Load(table=table, parts=parts, watermark=self.now, options=options)

    def initialise(self, table: Table, rows: Sequence[Row | Values], options: LoadOptions = PLAIN) -> LoadStats:
        """Create the table from a snapshot of these rows."""
        return self.session.initialise(self.load(table, self.parts(table, rows, action=False), options))

    def change(self, table: Table, rows: Sequence[Row | Values], options: LoadOptions = PLAIN) -> LoadStats:
        """Apply an increment of these rows, asked from where the table stands."""
        load = self.load(table, self.parts(table, rows, action=True), options)
        return self.session.change(load, self.state_table(table))

    def replace(self, table: Table, rows: Sequence[Row | Values], options: LoadOptions = PLAIN) -> LoadStats:
        """Make the table equal to a snapshot of these rows."""
        load = self.load(table, self.parts(table, rows, action=False), options)
        return self.session.replace(load, self.state_table(table))

    # What is there

    def state_table(self, table: Table) -> SyncState:
        """Return the table's line in the books."""
        return self.session.sync_states(table.namespace)[table.name]

    def rows(self, table: Table, columns: Sequence[Column] = ()) -> list[Values]:
        """Return the rows as Python values, in the order of their keys."""
        return self.place.rows(table, columns)

    def cut(self, moment: datetime) -> datetime:
        """Return a watermark as the place keeps it."""
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return moment - since % self.place.capabilities.watermark

    @contextmanager
    def refused(self, table: Table, *errors: type[DapError]) -> Iterator[None]:
        """Expect one of these errors, and that neither the table nor its line changed."""
        rows, state = self.rows(table), self.state_table(table)
        with pytest.raises(errors or DapError):
            yield
        self.reopen()
        assert self.rows(table) == rows
        assert self.state_table(table) == state

    def full(self, table: Table, values: Values) -> Values:
        """Return a row with every column, null where nothing is said."""
        return {column.name: self.place.value(column.type, values.get(column.name)) for column in table.columns}

    def holds_rows(self, table: Table, rows: Sequence[Values]) -> None:
        """Require that the table has exactly these rows, in any order."""
        wanted = [self.full(table, row) for row in rows]
        keys = [column.name for column in table.key]
        assert self.rows(table) == sorted(wanted, key=lambda row: [str(row[name]) for name in keys])

    def holds(self, table: Table, rows: Sequence[Values]) -> None:
        """Require that the table has exactly these rows, in any order, and stands at the last watermark."""
        self.holds_rows(table, rows)
        state = self.state_table(table)
        assert state.watermark == self.cut(self.now)
        assert state.schema.version == table.version


def stale(state: SyncState) -> SyncState:
    """Return a line as it was an hour ago."""
    return replace(state, watermark=state.watermark - _HOUR)


class BreakError(Exception):
    """A session breaks here."""


@dataclass
class Breaks:
    """Whether the break came about."""

    happened: bool = False


@contextmanager
def interrupted(session: SqlSession, step: int) -> Iterator[Breaks]:
    """Let the session fail before its n-th statement, as when it is killed there; it is of no use any more then."""
    breaks = Breaks()
    left = step

    def watched(run: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise BreakError
            return run(*args)

        return call

    original = session.query, session.modify
    session.query, session.modify = watched(session.query), watched(session.modify)  # type: ignore[method-assign]
    try:
        yield breaks
    except BreakError:
        breaks.happened = True
    else:
        session.query, session.modify = original  # type: ignore[method-assign]
