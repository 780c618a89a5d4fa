"""What the columns of an object are: the table's columns, and the SQL that each of them comes from."""

from dataclasses import dataclass

from dapkit.sandbox.data.catalogue import Column, Table
from dapkit.sandbox.data.sql import literal


@dataclass(frozen=True, slots=True)
class Cell:
    """One output column, and the SQL expression of its value."""

    name: str
    column: Column
    sql: str

    @property
    def fields(self) -> "tuple[Cell, ...]":
        """The fields of a nested column."""
        return tuple(
            Cell(field.name, field, f"struct_extract({self.sql}, {literal(field.name)})")
            for field in self.column.fields
        )

    def item(self, depth: int) -> "Cell":
        """Return the item of an array, as the parameter of a lambda inside `depth` other arrays."""
        assert self.column.items is not None
        return Cell("", self.column.items, f"e{depth}")


@dataclass(frozen=True, slots=True)
class Layout:
    """A table with the two choices that determine the columns of its objects."""

    table: Table
    expanded: bool
    incremental: bool

    @property
    def key(self) -> tuple[Cell, ...]:
        """The key columns."""
        return tuple(Cell(column.name, column, f"k{i}") for i, column in enumerate(self.table.key))

    @property
    def value(self) -> tuple[Cell, ...]:
        """The value columns; nested ones are not expanded."""
        return tuple(Cell(column.name, column, f"v{i}") for i, column in enumerate(self.table.value))
