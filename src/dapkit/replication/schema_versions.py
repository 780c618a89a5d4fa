"""Which schema the files of a job follow, when the service's schema has changed around the time of the job.

A job says by which version of the schema it was made, but the service serves only the current one. A column that files
lack would come into the database as null, and what is there already would be lost without a word. So files are loaded
by a schema that has no column which they lack, and the books say the job's version: the next run sees the change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dapkit.client.session import Session
from dapkit.decode.tsv import read_header
from dapkit.errors import IntegrityError
from dapkit.model import Column, ColumnType, Table, TypeKind, VersionedSchema
from dapkit.results import TableResult
from dapkit.schema import read_table
from dapkit.targets.base import DataFiles

__all__ = ["columns_of", "common_table", "fitting", "schema_of_files"]

PAUSES = (2.0, 10.0, 30.0)
"""Seconds after which a schema that is older than its files is asked for again."""


async def schema_of_files(
    session: Session, namespace: str, result: TableResult, parts: DataFiles, booked: VersionedSchema | None = None
) -> VersionedSchema:
    """Return the schema by which the files of a table are to be loaded.

    Args:
        session: with the service.
        namespace: where the table is.
        result: what the job brought.
        parts: its files.
        booked: the schema that the table in the database follows.

    Raises:
        IntegrityError: the files are of an older version than the table and lack columns of it.
    """
    served = await session.schema(namespace, result.table)
    made = served.version if result.schema_version is None else result.schema_version
    for pause in PAUSES:
        if served.version >= made:
            break
        await session.clock.sleep(pause)
        served = await session.schema(namespace, result.table)
    return fitting(served, made, columns_of(parts), booked)


def columns_of(parts: DataFiles) -> frozenset[str] | None:
    """Return the names of the columns that files have; None when there are no files. Raises IntegrityError."""
    if not parts.paths:
        return None
    return frozenset(name for name in read_header(parts.paths[0]).columns if name is not None)


def fitting(
    served: VersionedSchema, made: int, columns: frozenset[str] | None, booked: VersionedSchema | None
) -> VersionedSchema:
    """PURE: return the schema by which files are to be loaded.

    Args:
        served: the schema that the service serves.
        made: the version by which the files were made.
        columns: those that the files have, None without files.
        booked: the schema that the table in the database follows, if there is one.

    Raises:
        IntegrityError: the files are of an older version than the table and lack columns of it.
    """
    known = frozenset(column.name for column in read_table(served).columns)
    if made >= served.version or columns is None or columns == known:
        return served
    if booked is not None and booked.version == made:
        return booked
    if columns >= known:
        return served  # what it does not know, the load refuses
    if booked is not None and booked.version > made:
        message = f"The files are of version {made} of the schema, the table is of version {booked.version} already"
        raise IntegrityError(message, hint="Nothing was changed. Run the same command again in some hours.")
    return _without(served, known - columns, made)


def common_table(table: Table, headers: Sequence[frozenset[str] | None]) -> tuple[Table, frozenset[str]]:
    """PURE: return a table that takes files of several versions of its schema, and the columns that some of them lack.

    Of those columns some rows have nothing. Columns that the table does not know, since they are gone from its
    schema, become text.
    """
    there = [columns for columns in headers if columns is not None]
    known = frozenset(column.name for column in table.columns)
    lacking = frozenset(name for columns in there for name in known - columns)
    unknown = sorted(frozenset(name for columns in there for name in columns - known))
    value = [replace(each, required=False, default=None) if each.name in lacking else each for each in table.value]
    value += [Column(name=name, type=ColumnType(kind=TypeKind.TEXT), required=False) for name in unknown]
    return replace(table, value=tuple(value)), lacking


def _without(schema: VersionedSchema, lacking: frozenset[str], version: int) -> VersionedSchema:
    """Return a schema as it was before it had some of the columns of its value."""
    properties = schema.document["properties"]
    value = properties["value"]
    kept: dict[str, Any] = {**value, "properties": _omitted(value.get("properties", {}), lacking)}
    if "required" in value:
        kept["required"] = [name for name in value["required"] if name not in lacking]
    document = {**schema.document, "properties": {**properties, "value": kept}}
    return VersionedSchema(namespace=schema.namespace, table=schema.table, version=version, document=document)


def _omitted(nodes: Mapping[str, Any], lacking: frozenset[str]) -> dict[str, Any]:
    return {name: node for name, node in nodes.items() if name not in lacking}
