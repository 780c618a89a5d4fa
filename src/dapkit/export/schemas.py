"""Schemas of many tables: requested a few at once, and saved into files `<table>_schema_version_<n>.json`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dapkit.client.session import Session
from dapkit.errors import TableNotFoundError
from dapkit.export.isolation import isolate
from dapkit.export.selection import KnownTables, resolve_tables
from dapkit.failures import TableFailed
from dapkit.model import VersionedSchema
from dapkit.results import Display, TablesResult
from dapkit.storage.atomic import make_folder, replace_file
from dapkit.storage.names import schema_file
from dapkit.transfer.workers import run_all

PAUSES = (2.0, 10.0, 30.0)
"""Seconds before a schema is requested again, if the service serves one that is older than a job's."""

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSchema:
    """A schema and its file."""

    table: str
    version: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemasResult(TablesResult):
    """The saved schemas (`done`), the tables that failed, and a notice for the user, if there is one."""

    namespace: str
    done: tuple[SavedSchema, ...]
    failed: tuple[TableFailed, ...]
    notice: str | None

    def _display(self) -> Display:
        rows = [(each.table, each.version, each.path) for each in self.done]
        return f"Schemas of {self.namespace}", ("table", "version", "file"), rows


class SchemaReader:
    """Requests the schemas of a namespace's tables, a few at once."""

    def __init__(self, session: Session, namespace: str) -> None:
        self._session = session
        self._namespace = namespace
        self._known = KnownTables(session, namespace)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self, table: str) -> VersionedSchema:
        """Return the current schema of a table.

        Raises:
            TableNotFoundError: there is no such table; the hint suggests similar names.
            UnsafeNameError: the name cannot be part of a file name.
        """
        schema_file(table, 0)  # rejects unsafe names before the request: they would not be part of its URL either
        try:
            async with self._slots:
                return await self._session.schema(self._namespace, table)
        except TableNotFoundError as error:
            error.hint = await self._known.nearest(table)
            raise


async def save_schemas(
    session: Session, namespace: str, tables: Sequence[str], exclude: Sequence[str], output: Path
) -> SchemasResult:
    """Save the current schema of each table.

    Raises:
        DapError: an error that affects all tables: credentials, account, the output folder.
    """
    make_folder(output)
    resolved = await resolve_tables(session, namespace, tables, exclude)
    reader = SchemaReader(session, resolved.namespace)

    async def save(table: str) -> SavedSchema:
        schema = await reader.read(table)
        return SavedSchema(table=table, version=schema.version, path=_write(schema, output))

    outcomes = await run_all(isolate(table, output, save, table) for table in resolved.tables)
    return SchemasResult(
        namespace=resolved.namespace,
        done=tuple(outcome for outcome in outcomes if isinstance(outcome, SavedSchema)),
        failed=tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed)),
        notice=resolved.notice,
    )


def _write(schema: VersionedSchema, output: Path) -> Path:
    path = output / schema_file(schema.table, schema.version)
    content = {"schema": schema.document, "version": schema.version}
    replace_file(path, msgspec.json.format(msgspec.json.encode(content), indent=4))
    return path


async def schema_of_job(session: Session, namespace: str, table: str, version: int | None) -> VersionedSchema:
    """Return the schema that the service serves, waiting a little if it is older than a job's."""
    served = await session.schema(namespace, table)
    for pause in PAUSES:
        if version is None or served.version >= version:
            break
        # The service's servers learn of a new schema one after another.
        await session.clock.sleep(pause)
        served = await session.schema(namespace, table)
    return served
