"""The statements by which a table is altered, planned without a database."""

from collections.abc import Iterable
from datetime import UTC, datetime

from dapkit.model import Table
from dapkit.targets.base import SyncState
from dapkit.targets.sql.dialect import Dialect
from dapkit.targets.sql.introspection import ExistingColumn, ExistingTable
from dapkit.targets.sql.schema_changes import plan_schema_change

__all__ = ["altered", "as_created", "existing_table"]


def altered(
    dialect: Dialect,
    before: Table,
    after: Table,
    existing: ExistingTable | None = None,
    *,
    drop_columns: bool = False,
    partly_altered: bool = False,
) -> list[str]:
    """Return the statements that alter a table, which is as its schema describes unless `existing` is given."""
    watermark = datetime(2024, 3, 1, tzinfo=UTC)
    state = SyncState(namespace=before.namespace, table=before.name, watermark=watermark, schema=before.schema)
    current = existing or as_created(dialect, before)
    plan = plan_schema_change(dialect, state, after, current, drop_columns=drop_columns, partly_altered=partly_altered)
    return dialect.alter_table(plan)


def as_created(dialect: Dialect, table: Table) -> ExistingTable:
    """Return a table as it was created."""
    columns = [
        ExistingColumn(name=each.name, type=dialect.type_of(table, each), required=each.required)
        for each in table.columns
    ]
    return existing_table(columns, key=tuple(each.name for each in table.key))


def existing_table(columns: Iterable[ExistingColumn], **more: object) -> ExistingTable:
    """Return a table with these columns."""
    return ExistingTable(columns={column.name: column for column in columns}, **more)  # type: ignore[arg-type]
