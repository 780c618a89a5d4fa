"""Pieces of SQL: names, literals, and COPY to a file."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LINES = "FORMAT csv, HEADER false, DELIMITER '', QUOTE '', ESCAPE '', COMPRESSION none"
"""With everything off that makes CSV of it, a single column of text is written as it is."""


def literal(text: str) -> str:
    """Return the text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return the name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def copy(connection: "DuckDBPyConnection", columns: str, select_sql: str, path: Path, options: str) -> int:
    """Write columns made from a query's rows to a file; return how many rows they are."""
    query = f"SELECT {columns} FROM ({select_sql})"  # noqa: S608 - both are SQL made here, of nobody's input
    row = connection.execute(f"COPY ({query}) TO {literal(str(path))} ({options})").fetchone()
    assert row is not None
    return int(row[0])


def copy_lines(connection: "DuckDBPyConnection", line: str, select_sql: str, path: Path) -> int:
    """Write an expression of type text, a line for each of a query's rows; return how many they are."""
    return copy(connection, line, select_sql, path, _LINES)
