"""What exists in a database, as its catalogue describes it: the same few facts for every database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from dapkit.model import Table

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Executes a statement with these values, and returns its rows."""

Layout = set[tuple[Any, ...]]
"""The columns and constraints of a table, each with its name (or what else identifies it) first."""


class RelationKind(StrEnum):
    """What exists under a name."""

    TABLE = "table"
    OTHER = "other"

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> "RelationKind | None":
        """Return the kind from the result of a query: no row, or one row that says whether it is a table."""
        if not rows:
            return None
        return cls.TABLE if rows[0][0] else cls.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingColumn:
    """A column of an existing table.

    Attributes:
        name: its name.
        type: as the catalogue writes it.
        required: whether it is NOT NULL.
        default: its DEFAULT; the name of the constraint that holds it where a default is one.
        reference: the foreign key that binds it to its lookup table, if there is one.
        values: the values of its enum type.
        collation, code_page: of a text.
    """

    name: str
    type: str
    required: bool = False
    default: str | None = None
    reference: str | None = None
    values: tuple[str, ...] = ()
    collation: str | None = None
    code_page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingIndex:
    """An index or trigger that the user created: what creates it again, and the columns it needs, where known."""

    name: str
    definition: str
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingTable:
    """A table as it exists.

    Attributes:
        columns: all columns by name in their order, user-created ones included; empty if there is no table.
        key: the columns of its primary key, where the database reports it.
        key_name: the name of its primary key, where the database reports it.
        indexes: what the user created.
        referrers: the tables whose foreign keys refer to it, where the loader has to know.
    """

    columns: Mapping[str, ExistingColumn] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    key_name: str | None = None
    indexes: tuple[ExistingIndex, ...] = ()
    referrers: tuple[str, ...] = ()


class Catalog(Protocol):
    """The catalogue of one database."""

    def kind(self, namespace: str, table: str) -> RelationKind | None:
        """Return what exists under a name, None for nothing."""

    def existing(self, namespace: str, table: str) -> ExistingTable:
        """Return a table as it exists."""

    def layout(self, table: Table) -> Layout:
        """Return what distinguishes a table that a load created from any other; empty if it is not a table."""

    def has_unique_key(self, table: Table) -> bool:
        """Whether a unique index covers exactly the key of a table, as a merge by conflict needs it.

        A table that its owner partitioned may have none. If a merge cannot name the index, it must be the only one.
        """

    def size(self, namespace: str, table: str) -> int | None:
        """Return the bytes of a table with its indexes, None where the database does not report it."""

    def dependants(self, namespace: str, table: str) -> list[str]:
        """Return the statements that drop what was created for a table, to run once the table is dropped."""
