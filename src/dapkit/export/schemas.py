"""Schemas of many tables into files, one a table: `<table>_schema_version_<n>.json`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dapkit.client.session import Session
from dapkit.errors import (
    AccountError,
    CredentialsError,
    DapError,
    ForbiddenError,
    OutputError,
    TableNotFoundError,
)
from dapkit.export.selection import KnownTables, resolve_tables
from dapkit.model import VersionedSchema
from dapkit.results import TableFailed
from dapkit.storage.atomic import make_folder, replace_file
from dapkit.transfer.names import schema_file

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSchema:
    """A schema on disk."""

    table: str
    version: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemasResult:
    """What was saved, what failed, and a notice for a person, if there is one."""

    namespace: str
    saved: tuple[SavedSchema, ...]
    failed: tuple[TableFailed, ...]
    notice: str | None


async def save_schemas(
    session: Session, namespace: str, tables: Sequence[str], exclude: Sequence[str], output: Path
) -> SchemasResult:
    """Save the current schema of each table.

    Raises:
        DapError: what concerns all tables: credentials, account, the output folder.
    """
    make_folder(output)
    resolved = await resolve_tables(session, namespace, tables, exclude)
    known = KnownTables(session, resolved.namespace)
    slots = asyncio.Semaphore(AT_ONCE)

    async def save(table: str) -> SavedSchema | TableFailed:
        try:
            schema_file(table, 0)  # refused before it is asked for, since its address would not be a table's either
            async with slots:
                schema = await session.schema(resolved.namespace, table)
            return SavedSchema(table=table, version=schema.version, path=_write(schema, output))
        except TableNotFoundError as error:
            error.hint = await known.nearest(table)
            return TableFailed(table=table, error=error)
        except (CredentialsError, OutputError):
            raise
        except DapError as error:
            if isinstance(error, AccountError) and not isinstance(error, ForbiddenError):
                raise
            return TableFailed(table=table, error=error)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(save(table)) for table in resolved.tables]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    outcomes = [task.result() for task in tasks]
    return SchemasResult(
        namespace=resolved.namespace,
        saved=tuple(outcome for outcome in outcomes if isinstance(outcome, SavedSchema)),
        failed=tuple(outcome for outcome in outcomes if isinstance(outcome, TableFailed)),
        notice=resolved.notice,
    )


def _write(schema: VersionedSchema, output: Path) -> Path:
    path = output / schema_file(schema.table, schema.version)
    content = {"schema": schema.document, "version": schema.version}
    replace_file(path, msgspec.json.format(msgspec.json.encode(content), indent=4))
    return path
