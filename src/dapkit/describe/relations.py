"""The known relations between tables: which column contains the key of which table.

The service's schemas do not say so. The facts come from `dapkit.spec`, so the relations of newer tables are not known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dapkit import spec


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKey:
    """A table that is referred to.

    Attributes:
        table: its name with its namespace.
        column: its key; None if no columns of this table are known.
    """

    table: str
    column: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A column that contains the key of another table's row.

    Attributes:
        table: the table that has the column, with its namespace.
        column: the column.
        nullable: whether the column may be null.
        key: whether the column is the key of `table`.
        targets: the table that it refers to. If there are several, another column says which one applies to a row.
    """

    table: str
    column: str
    nullable: bool
    key: bool
    targets: tuple[TableKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relations:
    """All known references, in the order of the catalogue."""

    references: tuple[Reference, ...]

    def of(self, table: str) -> tuple[Reference, ...]:
        """Return the references of a table, given with its namespace, to other tables."""
        return tuple(each for each in self.references if each.table == table)

    def to(self, table: str) -> tuple[Reference, ...]:
        """Return the references of all tables to a table, given with its namespace."""
        return tuple(each for each in self.references if any(target.table == table for target in each.targets))


def known_relations() -> Relations:
    """Return the relations of all tables in the catalogue."""
    return read_relations(spec.rows("tables.csv"))


def read_relations(rows: Iterable[Mapping[str, str]]) -> Relations:
    """Return the relations that rows of `tables.csv` contain."""
    columns = tuple(rows)
    keys: dict[str, list[str]] = {}
    for row in columns:
        if row["key"] == "1":
            keys.setdefault(_table(row), []).append(row["column"])
    # A column that refers to a composite key would hold only a part of it: there is no such table.
    single = {table: names[0] for table, names in keys.items() if len(names) == 1}
    return Relations(
        references=tuple(
            Reference(
                table=_table(row),
                column=row["column"],
                nullable=row["nullable"] == "1",
                key=keys.get(_table(row)) == [row["column"]],
                targets=tuple(
                    TableKey(table=name, column=single.get(name)) for name in spec.alternatives(row["references"])
                ),
            )
            for row in columns
            if row["references"]
        )
    )


def _table(row: Mapping[str, str]) -> str:
    return f"{row['namespace']}.{row['table']}"
