r"""PURE: SQL by which DuckDB reads TSV objects, exactly: each column as text, nulls apart from empty texts.

DuckDB's own reader splits the lines (no general CSV reader knows COPY's escapes, so quoting and escaping are off), and
an expression takes the escapes of a column back.
"""

from collections.abc import Mapping, Sequence

from dapkit.decode.tsv import Header
from dapkit.model import Table

__all__ = ["LINE_ROOMS", "LONGEST_LINE", "far_year", "originals", "quoted", "read_tsv", "text_literal", "unescaped"]

LONGEST_LINE = 256 << 20
"""Bytes of the longest line that is read, and of each buffer: DuckDB's own choice would be buffers of 16 lines."""

LINE_ROOMS = (2 << 20, 16 << 20, LONGEST_LINE)
"""Longest lines to try one after another, where memory should be as little as the files allow.

Of a line that has far more bytes than there is room for, DuckDB may say anything, or leave it out in silence: only the
number of rows tells that all are there.
"""

_ONE, _TWO = "\\", "\\\\"
_ASIDE = "chr(57344)"  # of the private use area: no text should have it
# The letters of COPY's escapes and what they stand for; a NUL has one of its own here.
_ESCAPES = (("b", 8), ("t", 9), ("n", 10), ("v", 11), ("f", 12), ("r", 13), ("0", 0))


def read_tsv(paths: Sequence[str], header: Header, longest_line: int = LONGEST_LINE) -> str:
    """Return a table function that reads the files, all with this header, into columns of text named as there.

    The texts still bear their escapes; `unescaped` takes them back. Some buffers of `longest_line` bytes are needed.
    """
    files = ", ".join(map(text_literal, paths))
    columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in header.names)
    return (
        f"read_csv([{files}], columns = {{{columns}}}, header = true, auto_detect = false, compression = 'gzip', "
        rf"delim = '\t', quote = '', escape = '', comment = '', new_line = '\n', nullstr = '\N', "
        f"max_line_size = {longest_line}, buffer_size = {longest_line}, strict_mode = true)"
    )


def unescaped(text: str) -> str:
    """Return an expression for the text of a column without its escapes.

    Two backslashes stand for one; they are set apart first, so that the second is not taken for the beginning of
    another escape: behind a character that the text does not have, or else by splitting it, which costs far more.
    """
    aside = f"replace({text}, '{_TWO}', {_ASIDE})"
    apart = f"replace({_replaced(aside)}, {_ASIDE}, '{_ONE}')"
    split = f"list_transform(string_split({text}, '{_TWO}'), lambda piece: {_replaced('piece')})"
    return (
        f"CASE WHEN NOT contains({text}, '{_ONE}') THEN {text}"
        f" WHEN contains({text}, {_ASIDE}) THEN array_to_string({split}, '{_ONE}') ELSE {apart} END"
    )


def _replaced(text: str) -> str:
    for letter, code in _ESCAPES:
        text = f"replace({text}, '{_ONE}{letter}', chr({code}))"
    return text


def far_year(text: str) -> str:
    """Return a condition that holds for a date or date-time whose year has not four digits, or is 0."""
    return f"(starts_with({text}, '+') OR starts_with({text}, '-') OR starts_with({text}, '0000-'))"


def originals(table: Table, header: Header, odd: Mapping[str, str]) -> str:
    """Return an expression for the original texts of a row's odd values, null for a row that has none.

    It is JSON: `{"key": {column: text}, "values": {column: text or null}}`. `odd` gives a condition by column.
    """
    if not odd:
        return "CAST(NULL AS VARCHAR)"
    key = _json({name: _original(header, name) for name in (column.name for column in table.key)})
    values = _json(
        {name: f"CASE WHEN {condition} THEN {_original(header, name)} END" for name, condition in odd.items()}
    )
    row = _json({"key": key, "values": values})
    return f"CASE WHEN {' OR '.join(odd.values())} THEN CAST({row} AS VARCHAR) END"


def _original(header: Header, column: str) -> str:
    return unescaped(quoted(header.source(column) or column))


def _json(fields: Mapping[str, str]) -> str:
    return f"json_object({', '.join(f'{text_literal(name)}, {sql}' for name, sql in fields.items())})"


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
