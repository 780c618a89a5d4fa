"""PURE: plans how an existing table gets into a later version of its schema, in every database.

Three sources have to be brought together: the schema that the table followed (the sync state), the schema that it is
to follow, and the table as it exists, which a user may have altered, and which has columns that were kept when they
left the schema. The plan says for each column what happens to it; the clauses of the dialect turn it into statements.
"""

from collections.abc import Collection
from dataclasses import replace

from dapkit.errors import SchemaChangeNotSupportedError
from dapkit.model import Column, Table
from dapkit.schema import difference, read_table
from dapkit.targets.base import SyncState, concurrent_update
from dapkit.targets.sql.dialect import Dialect, SchemaPlan
from dapkit.targets.sql.introspection import ExistingTable


def plan_schema_change(
    dialect: Dialect,
    before: SyncState,
    after: Table,
    existing: ExistingTable,
    *,
    drop_columns: bool,
    partly_altered: bool,
) -> SchemaPlan:
    """Plan how an existing table is altered while it has rows.

    Args:
        dialect: whose clauses say what fits what.
        before: the sync state of the table.
        after: the table as it is to be.
        existing: the table as it exists.
        drop_columns: whether columns that left the schema are removed.
        partly_altered: whether an interrupted run may have altered some columns already, because DDL commits
            implicitly: those columns are taken as they exist, not as the sync state describes them.

    Raises:
        ConcurrentUpdateError: the table was dropped.
        SchemaChangeNotSupportedError: its rows cannot be kept.
    """
    if not existing.columns:
        raise concurrent_update(after.name)
    old = read_table(before.schema)
    _require_columns(old, after, existing)
    stands = existing_columns_of(old, existing.columns)
    if partly_altered:
        stands = _as_altered_so_far(dialect, stands, after, existing)
    change = difference(stands, after)
    if change.key_changed:
        raise SchemaChangeNotSupportedError(f"The key of table {after.name} changed", table=after.name)
    returning = [column for column in change.added if column.name in existing.columns]
    restored = tuple(each for each in returning if dialect.matches(after, each, existing.columns[each.name]))
    kept = () if drop_columns else change.dropped
    relaxed = [(column, replace(column, required=False)) for column in kept if column.required]
    plan = SchemaPlan(
        before=stands,
        table=after,
        existing=existing,
        added=tuple(column for column in change.added if column not in returning),
        replaced=tuple(column for column in returning if column not in restored),
        restored=restored,
        altered=(*change.altered, *relaxed),
        dropped=change.dropped if drop_columns else (),
        commented=_commented(stands, after),
    )
    _require_convertible(dialect, plan)
    return plan


def existing_columns_of(table: Table, existing: Collection[str]) -> Table:
    """Return a table with those of its columns that exist."""
    key, value = ([column for column in columns if column.name in existing] for columns in (table.key, table.value))
    return replace(table, key=tuple(key), value=tuple(value))


def _require_columns(old: Table, after: Table, existing: ExistingTable) -> None:
    """Reject a table that lacks a column of its schema: adding it again would lose its values without a word."""
    lost = [each.name for each in old.columns if each.name not in existing.columns and after.column(each.name)]
    if lost:
        message = (
            f"Table {after.name} no longer has the columns {', '.join(lost)}: they were dropped or renamed manually"
        )
        raise SchemaChangeNotSupportedError(message, table=after.name)


def _as_altered_so_far(dialect: Dialect, stands: Table, after: Table, existing: ExistingTable) -> Table:
    """Return the table with those of the new columns that it has already."""
    before = {column.name: column for column in stands.columns}
    # The owner of a partitioned table has to add columns to its key; they are NOT NULL because of that alone.
    added = set(existing.key) - {column.name for column in after.key}
    extended = bool(added) and len(existing.key) == len(after.key) + len(added)
    columns = {
        name: each if extended and name in added else replace(each, required=existing.columns[name].required)
        for name, each in before.items()
    }
    for column in after.columns:
        old, there = before.get(column.name), existing.columns.get(column.name)
        if old is None or there is None or not dialect.matches(after, column, there):
            continue
        # Two types may be written alike and mean different things, as the bytes of a UUID and of an IPv6 address.
        if dialect.matches(after, replace(old, required=False), there) and not dialect.converts(after, old, column):
            continue
        columns[column.name] = replace(column, required=there.required, comment=old.comment)
    names = [column.name for column in stands.key] if extended else existing.key
    key = tuple(columns[name] for name in names if name in columns)
    return replace(stands, key=key, value=tuple(each for name, each in columns.items() if name not in names))


def _commented(stands: Table, after: Table) -> tuple[Column, ...]:
    before = {column.name: column.comment for column in stands.columns}
    return tuple(column for column in after.columns if column.comment != before.get(column.name))


def _require_convertible(dialect: Dialect, plan: SchemaPlan) -> None:
    """Raise SchemaChangeNotSupportedError for a column that existing rows have no value for."""
    table = plan.table
    for column in (*plan.added, *plan.replaced):
        if column.required and column.default is None:
            raise SchemaChangeNotSupportedError(
                f"Column {column.name} is new and NOT NULL, and has no default", table=table.name
            )
    restored = [(column, column) for column in plan.restored if column.default is None]
    for old, new in (*plan.altered, *restored):
        nullable = not plan.existing.columns[new.name].required if old is new else not old.required
        if new.required and nullable:
            message = f"Column {new.name} is now NOT NULL; existing rows cannot be converted"
            raise SchemaChangeNotSupportedError(message, table=table.name)
        if not dialect.converts(table, old, new):
            message = (
                f"Column {new.name} cannot be converted from {dialect.type_of(table, old)}"
                f" to {dialect.type_of(table, new)}"
            )
            raise SchemaChangeNotSupportedError(message, table=table.name)
