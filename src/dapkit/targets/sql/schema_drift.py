"""PURE: what a table has in fact, where somebody dropped or renamed columns of which the books tell."""

from collections.abc import Collection
from dataclasses import replace

from dapkit.errors import ConcurrentUpdateError, SchemaChangeNotSupportedError
from dapkit.model import Table
from dapkit.schema import read_table
from dapkit.targets.base import SyncState

__all__ = ["as_it_stands", "only"]


def as_it_stands(before: SyncState, after: Table, there: Collection[str]) -> Table:
    """PURE: return a table as the books say that it is, without columns of old that it no longer has.

    Args:
        before: its line.
        after: the table as it is to be.
        there: the columns that it has in fact.

    Raises:
        ConcurrentUpdateError: it has no column at all: it is gone.
        SchemaChangeNotSupportedError: it lacks a column that is to stay, whose values would be lost without a word.
    """
    if not there:
        raise ConcurrentUpdateError(f"Table {after.name} was dropped meanwhile", table=after.name)
    old = read_table(before.schema)
    lacking = [column.name for column in old.columns if column.name not in there and after.column(column.name)]
    if lacking:
        message = f"Table {after.name} has no column {', '.join(lacking)} any more: somebody dropped or renamed it"
        raise SchemaChangeNotSupportedError(message, table=after.name)
    return only(old, there)


def only(table: Table, there: Collection[str]) -> Table:
    """PURE: return a table with those of its columns that are there in fact."""
    key, value = ([column for column in columns if column.name in there] for columns in (table.key, table.value))
    return replace(table, key=tuple(key), value=tuple(value))
