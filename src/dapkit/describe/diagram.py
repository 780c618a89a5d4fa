"""PURE. Tables and the tables around them as an entity-relationship diagram in the language of Mermaid.

Of the columns, only keys and references are shown: the complete list would make the diagram unreadable.
"""

import re
from collections.abc import Iterator, Sequence

from dapkit.describe.description import TableDescription
from dapkit.describe.relations import Reference

_INDENT = "    "
_NOT_IN_NAME = re.compile(r'[^ -~]|[%"\\]')
_NOT_IN_WORD = re.compile(r"[^A-Za-z0-9_()-]")


def mermaid(tables: Sequence[TableDescription]) -> str:
    """Return the diagram of tables and their neighbours. Tables of which no columns are known are left out."""
    lines = ["erDiagram"]
    for table in tables:
        lines += [f"{_INDENT}{line}" for line in _entity(table)]
    shown = {table.qualified for table in tables}
    references = [each for table in tables for each in (*table.references, *table.referenced_by)]
    edges = [text for each in references for ends, text in _edges(each) if ends & shown]
    # A relation between two of the tables is known to both.
    lines += [f"{_INDENT}{text}" for text in dict.fromkeys(edges)]
    return "\n".join(lines) + "\n"


def _entity(table: TableDescription) -> list[str]:
    references = {each.column for each in table.references}
    marks = {
        column.name: ", ".join(["PK"] * (column.name in table.key) + ["FK"] * (column.name in references))
        for column in table.columns
    }
    columns = [
        f"{_INDENT}{_word(column.type)} {_word(column.name)} {marks[column.name]}"
        for column in table.columns
        if marks[column.name]
    ]
    return [f"{_quoted(table.qualified)} {{", *columns, "}"]


def _edges(reference: Reference) -> Iterator[tuple[set[str], str]]:
    """Yield the lines of a reference, each with the two tables that it connects.

    A reference to one of several tables is dotted: a row has only one of them.
    """
    several = len(reference.targets) > 1
    many = "|o" if reference.key else "}o"
    one = "o|" if reference.nullable or several else "||"
    for target in reference.targets:
        if target.column is not None:
            line = f"{many}{'..' if several else '--'}{one}"
            ends = f"{_quoted(reference.table)} {line} {_quoted(target.table)}"
            yield {reference.table, target.table}, f"{ends} : {_quoted(reference.column)}"


def _quoted(name: str) -> str:
    return f'"{_NOT_IN_NAME.sub("_", name)}"'


def _word(text: str) -> str:
    """Return a text as one word of the language: letters, digits, `_`, `-` and brackets."""
    return _NOT_IN_WORD.sub("_", text)
