"""PURE. The description of a table for people."""

from collections.abc import Iterator, Sequence

from dapkit.describe.description import ColumnDescription, TableDescription
from dapkit.describe.relations import Reference, TableKey
from dapkit.formatting import wrap, wrapped_columns


def table_lines(table: TableDescription, width: int | None) -> list[str]:
    """Return the description of a table.

    Args:
        table: the table.
        width: columns of the terminal; None: no limit, so that each column of the table is one line.
    """
    title = [f"{table.qualified}, schema version {table.version}", table.meaning, f"Key: {', '.join(table.key)}"]
    parts = [
        [line for text in title if text for line in wrap(text, width)],
        wrapped_columns([("column", "type", "null", "meaning"), *_rows(table.columns)], width),
        *_relations(table, width),
    ]
    return [line for part in parts for line in ("", *part)][1:]


def _rows(columns: Sequence[ColumnDescription], parent: str = "") -> Iterator[tuple[str, ...]]:
    for column in columns:
        name = f"{parent}{column.name}"
        yield name, column.type, "yes" if column.nullable else "no", column.text
        yield from _rows(column.fields, f"{name}[]." if column.type.startswith("array") else f"{name}.")


def _relations(table: TableDescription, width: int | None) -> Iterator[list[str]]:
    if not table.references and not table.referenced_by:
        yield wrap("No relations to other tables are known.", width)
    if table.references:
        rows = [(each.column, " or ".join(map(_key, each.targets))) for each in table.references]
        yield wrapped_columns([("column", "refers to"), *rows], width)
    if table.referenced_by:
        columns: dict[str, list[str]] = {}
        for each in table.referenced_by:
            columns.setdefault(each.table, []).append(_column(each))
        rows = [(name, ", ".join(found)) for name, found in columns.items()]
        yield wrapped_columns([("referred to by", "column"), *rows], width)


def _key(target: TableKey) -> str:
    return f"{target.table}.{target.column}" if target.column else f"{target.table} (columns not known)"


def _column(reference: Reference) -> str:
    return reference.column if len(reference.targets) == 1 else f"{reference.column} (to one of several tables)"
