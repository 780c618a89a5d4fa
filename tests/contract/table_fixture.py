"""A session on an empty target, with loads that write their own files and advance the watermark."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.contract.database_fixture import DatabaseFixture, TargetFixture, Values, driver_of
from tests.support.tsv_parts import Layout, Row, write_parts

from dapkit.errors import DapError
from dapkit.model import Column, Table
from dapkit.results import LoadStats
from dapkit.targets.base import DataFiles, Load, LoadOptions, SyncState, TargetSession
from dapkit.targets.sql.dialect import Dialect
from dapkit.targets.sql.driver import Driver

__all__ = ["PLAIN", "SqlTableFixture", "TableFixture", "interrupted", "stale"]

_BEGIN = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
_HOUR = timedelta(hours=1)
PLAIN = LoadOptions()


class TableFixture:
    """A session on an empty, prepared target, and a folder for files."""

    def __init__(self, database: TargetFixture, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.now = _BEGIN
        self.session = database.open()
        self.session.prepare("canvas", sandbox=False)

    def reopen(self) -> None:
        """Continue with a new session, as after a crash."""
        self.session.close()
        self.session = self.database.open()

    # Loads

    def files(self, table: Table, rows: Sequence[Row | Values], *, action: bool, **layout: Any) -> DataFiles:
        """Write files; a plain dict is a row with the usual time."""
        full = [row if isinstance(row, Row) else Row(row) for row in rows]
        return write_parts(self.folder, table, full, Layout(action=action, **layout))

    def load(self, table: Table, files: DataFiles, options: LoadOptions = PLAIN) -> Load:
        """Return what the next load would be, an hour after the last."""
        self.now += _HOUR
        return Load(table=table, files=files, watermark=self.now, options=options)

    def initial_load(self, table: Table, rows: Sequence[Row | Values], options: LoadOptions = PLAIN) -> LoadStats:
        """Create the table from a snapshot of these rows."""
        return self.session.initial_load(self.load(table, self.files(table, rows, action=False), options))

    def apply_increment(self, table: Table, rows: Sequence[Row | Values], options: LoadOptions = PLAIN) -> LoadStats:
        """Apply an increment of these rows, requested from the watermark of the table."""
        load = self.load(table, self.files(table, rows, action=True), options)
        return self.session.apply_increment(load, self.state(table))

    def full_refresh(self, table: Table, rows: Sequence[Row | Values], options: LoadOptions = PLAIN) -> LoadStats:
        """Make the table equal to a snapshot of these rows."""
        load = self.load(table, self.files(table, rows, action=False), options)
        return self.session.full_refresh(load, self.state(table))

    # Contents

    def state(self, table: Table) -> SyncState:
        """Return the sync state of the table."""
        return self.session.sync_states(table.namespace)[table.name]

    def rows(self, table: Table, columns: Sequence[Column] = ()) -> list[Values]:
        """Return the rows as Python values, in the order of their keys."""
        return self.database.rows(table, columns)

    def saved_watermark(self, watermark: datetime) -> datetime:
        """Return a watermark with the precision of the database."""
        since = watermark - datetime(1970, 1, 1, tzinfo=UTC)
        return watermark - since % self.database.target.capabilities.watermark_precision

    @contextmanager
    def rejected(self, table: Table, *errors: type[DapError]) -> Iterator[pytest.ExceptionInfo[DapError]]:
        """Expect one of these errors, and that neither the table nor its state changed."""
        rows, state = self.rows(table), self.state(table)
        with pytest.raises(errors or DapError) as caught:
            yield caught
        self.reopen()
        assert self.rows(table) == rows
        assert self.state(table) == state

    def full_row(self, table: Table, values: Values) -> Values:
        """Return a row with all columns; the missing ones are null."""
        return {column.name: self.database.value(column.type, values.get(column.name)) for column in table.columns}

    def assert_rows(self, table: Table, rows: Sequence[Values]) -> None:
        """Assert that the table has exactly these rows, in any order."""
        expected = [self.full_row(table, row) for row in rows]
        keys = [column.name for column in table.key]
        assert self.rows(table) == sorted(expected, key=lambda row: [str(row[name]) for name in keys])

    def assert_holds(self, table: Table, rows: Sequence[Values]) -> None:
        """Assert that the table has exactly these rows, in any order, and the last watermark."""
        self.assert_rows(table, rows)
        state = self.state(table)
        assert state.watermark == self.saved_watermark(self.now)
        assert state.schema.version == table.version


class SqlTableFixture(TableFixture):
    """The same on an empty SQL database, with helpers for tests that write SQL."""

    database: DatabaseFixture

    def __init__(self, database: DatabaseFixture, folder: Path) -> None:
        super().__init__(database, folder)

    @property
    def driver(self) -> Driver:
        """The connection of the session."""
        return driver_of(self.session)

    @property
    def dialect(self) -> Dialect:
        """The SQL of the database."""
        return self.driver.dialect

    def full_name(self, table: Table) -> str:
        """Return the full name of a table, quoted for SQL."""
        return self.dialect.facts.full_name(table)

    def name(self, namespace: str, table: str) -> str:
        """Return the full name of a table in a namespace, quoted for SQL."""
        return self.dialect.facts.name(namespace, table)

    def state_table(self, table: str) -> str:
        """Return the full name of a state table, quoted for SQL."""
        return self.dialect.facts.state_table(table)

    def exists(self, namespace: str, table: str) -> bool:
        """Whether a table or view exists."""
        return self.driver.catalog.kind(namespace, table) is not None


def stale(state: SyncState) -> SyncState:
    """Return a state as it was an hour ago."""
    return replace(state, watermark=state.watermark - _HOUR)


class InterruptionError(Exception):
    """The session is interrupted here."""


@dataclass
class Interruption:
    """Whether the interruption happened."""

    happened: bool = False


@contextmanager
def interrupted(session: TargetSession, step: int) -> Iterator[Interruption]:
    """Make a session fail before its n-th change, as if it were killed there; it must not be used afterwards."""
    interruption, driver = Interruption(), driver_of(session)
    left = step

    def watched(run: Callable[..., Any]) -> Callable[..., Any]:
        def call(sql: str, *values: Any) -> Any:
            nonlocal left
            # Interrupting before a statement that only reads would leave the same state as before the next change.
            left -= not sql.lstrip().startswith(("SELECT", "SHOW"))
            if left == 0:
                raise InterruptionError
            return run(sql, *values)

        return call

    original = driver.query, driver.execute
    driver.query, driver.execute = watched(driver.query), watched(driver.execute)  # type: ignore[method-assign]
    try:
        yield interruption
    except InterruptionError:
        interruption.happened = True
    else:
        driver.query, driver.execute = original  # type: ignore[method-assign]
