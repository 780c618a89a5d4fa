"""A sandbox, a DuckDB database, and databases that were loaded before: what tests of replication start from.

The sandbox's data is a function of the time that has passed. So a database that one test has loaded from scratch is
reused by all others of the process that need one of the same time.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb

from dapkit.api.connection import connect
from dapkit.client.session import Session
from dapkit.config.settings import ClientOptions, connection_settings
from dapkit.events import Event, Notice
from dapkit.replication.listing import list_tables
from dapkit.replication.options import SyncRequest
from dapkit.replication.run import SyncResult, replicate
from dapkit.results import SyncCommand
from dapkit.targets.base import HistoryEntry
from dapkit.targets.duckdb.target import duckdb_file

TABLES = ("users", "roles")
"""Two small tables, both of which change within 400 hours."""

SCALE = 0.02

_loaded: dict[tuple[float, str, tuple[str, ...]], bytes] = {}
"""Databases by time, namespace and tables."""


@dataclass
class SyncSetup:
    """A sandbox, a folder for databases and staged files, and the events that were sent."""

    folder: Path
    session: Session
    sandbox: Any
    hours: float = 0.0
    events: list[Event] = field(default_factory=list)

    def options(self, name: str = "college", command: SyncCommand = SyncCommand.SYNC, **more: Any) -> SyncRequest:
        target = duckdb_file(self.database(name))
        settings = {"namespace": "canvas", "tables": TABLES, "stage": self.folder / "stage", "target": target, **more}
        return SyncRequest(command=command, **settings)

    async def sync(self, name: str = "college", command: SyncCommand = SyncCommand.SYNC, **more: Any) -> SyncResult:
        return await replicate(self.session, self.options(name, command, **more), self.events.append)

    async def load(self, name: str = "college", namespace: str = "canvas", tables: Sequence[str] = TABLES) -> None:
        """Provide a database as `sync` would load it from scratch now, without events."""
        key = (self.hours, namespace, tuple(tables))
        if key not in _loaded:
            new = SyncSetup(self.folder, self.session, self.sandbox, self.hours)
            assert (await new.sync("new", namespace=namespace, tables=tuple(tables))).failed == ()
            _loaded[key] = new.database("new").read_bytes()
            new.database("new").unlink()
        self.database(name).write_bytes(_loaded[key])

    def advance(self, hours: float) -> None:
        self.sandbox.advance(hours)
        self.hours += hours

    def notices(self) -> list[str]:
        """Return the notices that were sent, and forget all events."""
        notices = [event.message for event in self.events if isinstance(event, Notice)]
        self.events.clear()
        return notices

    def database(self, name: str) -> Path:
        return self.folder / f"{name}.duckdb"

    def last_events(self) -> dict[str, HistoryEntry]:
        """Return the last entry in the history of each managed table."""
        listed = list_tables(duckdb_file(self.database("college")), "canvas", count=False).tables
        return {each.state.table: each.last for each in listed if each.last is not None}

    def rows(self, name: str, table: str, namespace: str = "canvas") -> list[str]:
        """Return the rows as texts, because NaN does not equal itself."""
        with duckdb.connect(str(self.database(name)), read_only=True) as connection:
            return sorted(map(repr, connection.sql(f'FROM "{namespace}"."{table}"').fetchall()))

    async def assert_equal_to_initial_load(self) -> None:
        """Assert that the tables contain what a database contains that is loaded from scratch now."""
        await self.load("new")
        for table in TABLES:
            rows = self.rows("college", table)
            assert rows
            assert rows == self.rows("new", table)


def run_with_sandbox(
    folder: Path, test: Callable[[SyncSetup], Coroutine[Any, Any, None]], *, scale: float = SCALE
) -> None:
    """Run a test with a new sandbox. `load` is only for tests with the default scale."""
    options = ClientOptions(sandbox=True, sandbox_scale=scale, sandbox_job_seconds=0.0, state_folder=folder)
    settings = connection_settings(options, {})

    async def run() -> None:
        async with connect(settings, lambda _: None) as connection:
            assert connection.sandbox is not None
            await test(SyncSetup(folder, connection.session, connection.sandbox))

    # The sandbox speaks plain HTTP. Loading the system's certificates would take most of the time of a small test.
    with patch("dapkit.client.http.tls_context", lambda _: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)):
        asyncio.run(run())
