"""Pieces of SQL text: literals, identifiers, and a choice from a list."""

from collections.abc import Sequence


def literal(text: str) -> str:
    """Return a text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def pick(values: Sequence[str], row_hash: str) -> str:
    """Return SQL that picks one of several texts by a hash, which must not be negative."""
    # List and length are constants in the SQL: only then does DuckDB look the value up without building the list for
    # each row. A list index beyond the end would silently be NULL.
    return f"([{', '.join(map(literal, values))}])[1 + {row_hash} % {len(values)}]"
