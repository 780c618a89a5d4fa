"""What an object is made of: a table's columns, the SQL each comes from, and the choices that shape it."""

from dataclasses import dataclass

from dapkit.sandbox.data.catalogue import Column, Table
from dapkit.sandbox.data.formats.sql import literal


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of the output and the SQL expression that it is made from."""

    name: str
    column: Column
    sql: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A table with the two choices that shape its objects."""

    table: Table
    expanded: bool
    incremental: bool

    @property
    def key(self) -> tuple[Cell, ...]:
        """The key's columns."""
        return tuple(Cell(column.name, column, f"k{i}") for i, column in enumerate(self.table.key))

    @property
    def value(self) -> tuple[Cell, ...]:
        """The value's columns, nested ones whole."""
        return tuple(Cell(column.name, column, f"v{i}") for i, column in enumerate(self.table.value))


def fields(cell: Cell) -> tuple[Cell, ...]:
    """Return the fields of a nested column."""
    return tuple(
        Cell(field.name, field, f"struct_extract({cell.sql}, {literal(field.name)})") for field in cell.column.fields
    )
