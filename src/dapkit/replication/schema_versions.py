"""Which version of a schema downloaded files follow, if the schema changes around the time of their job.

A job states the version of the schema that its files follow, but the service serves only the current schema. If the
files were loaded with a schema that has more columns than they do, those columns would be filled with nulls, and values
already in the database would be lost silently. So files are always loaded with a schema without columns that they lack,
and the sync state records the job's version: the next run then notices the change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dapkit.client.session import Session
from dapkit.decode.tsv import read_header
from dapkit.errors import IntegrityError
from dapkit.export.schemas import schema_of_job
from dapkit.model import Column, ColumnType, Table, TypeKind, VersionedSchema
from dapkit.results import TableResult
from dapkit.schema import read_table
from dapkit.targets.base import DataFiles


async def schema_of_files(
    session: Session, namespace: str, result: TableResult, files: DataFiles, current: VersionedSchema | None = None
) -> VersionedSchema:
    """Return the schema with which to load downloaded files.

    Args:
        session: with the service.
        namespace: the table's namespace.
        result: the download.
        files: its files.
        current: the schema of the table in the database, if there is one.

    Raises:
        IntegrityError: the files follow an older version than the table and lack some of its columns.
    """
    served = await schema_of_job(session, namespace, result.table, result.schema_version)
    version = served.version if result.schema_version is None else result.schema_version
    return choose_schema(served, version, column_names(files), current)


def column_names(files: DataFiles) -> frozenset[str] | None:
    """Return the names of the columns in the files; None if there are none. Raises IntegrityError."""
    headers = (read_header(path) for path in files.paths)  # empty files have no header
    columns = next((header.columns for header in headers if header.names), None)
    return None if columns is None else frozenset(name for name in columns if name is not None)


def choose_schema(
    served: VersionedSchema, version: int, columns: frozenset[str] | None, current: VersionedSchema | None
) -> VersionedSchema:
    """PURE: return the schema with which to load files.

    Args:
        served: the schema that the service serves now.
        version: the version that the files follow.
        columns: the columns in the files; None if there are no files.
        current: the schema of the table in the database, if there is one.

    Raises:
        IntegrityError: the files follow an older version than the table and lack some of its columns.
    """
    served_columns = frozenset(column.name for column in read_table(served).columns)
    if version >= served.version or columns is None or columns == served_columns:
        return served
    if current is not None and current.version == version:
        return current
    if columns >= served_columns:
        return served  # nothing is missing; columns that it does not have make the load fail
    if current is not None and current.version > version:
        message = f"The files follow version {version} of the schema, but the table already follows {current.version}"
        raise IntegrityError(message, hint="Nothing was changed. Run the same command again in some hours.")
    # The job's own version is no longer served anywhere. The served one without the missing columns describes the
    # files, apart from changes of types, which the load checks.
    return _without_columns(served, served_columns - columns, version)


def common_table(table: Table, headers: Sequence[frozenset[str] | None]) -> tuple[Table, frozenset[str]]:
    """PURE: return a table for files of several versions of a schema, and the columns that some of the files lack.

    Columns that have been removed from the table's schema are added as text.
    """
    present = [columns for columns in headers if columns is not None]
    known = frozenset(column.name for column in table.columns)
    missing = frozenset(name for columns in present for name in known - columns)
    removed = sorted(frozenset(name for columns in present for name in columns - known))
    value = [replace(each, required=False, default=None) if each.name in missing else each for each in table.value]
    value += [Column(name=name, type=ColumnType(kind=TypeKind.TEXT), required=False) for name in removed]
    return replace(table, value=tuple(value)), missing


def _without_columns(schema: VersionedSchema, columns: frozenset[str], version: int) -> VersionedSchema:
    properties = schema.document["properties"]
    value = properties["value"]
    kept: dict[str, Any] = {**value, "properties": _omit(value.get("properties", {}), columns)}
    if "required" in value:
        kept["required"] = [name for name in value["required"] if name not in columns]
    document = {**schema.document, "properties": {**properties, "value": kept}}
    return VersionedSchema(namespace=schema.namespace, table=schema.table, version=version, document=document)


def _omit(nodes: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: node for name, node in nodes.items() if name not in names}
