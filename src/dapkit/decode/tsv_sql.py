r"""PURE: SQL with which DuckDB reads TSV files exactly: every column as text, nulls distinct from empty texts.

DuckDB's CSV reader splits lines and fields. No CSV reader knows COPY's escapes, so quoting and escaping are turned off,
and an SQL expression decodes the escapes of each column.
"""

import re
from collections.abc import Mapping, Sequence

from dapkit.decode.tsv import Header
from dapkit.model import Table

MAX_LINE_SIZE = 256 << 20
"""Bytes of the longest line that can be read. Also the size of each buffer: DuckDB's default is 16 such lines."""

LINE_SIZES = (2 << 20, 16 << 20, MAX_LINE_SIZE)
"""Maximum line sizes to try in turn, so as to use no more memory than the files need.

If a line is far longer than the maximum, DuckDB may raise any error or silently skip the line. Only the number of rows
shows that all were read.
"""

_BACKSLASH, _DOUBLED = "\\", "\\\\"
_PLACEHOLDER = "chr(57344)"  # in the Unicode private use area, so texts hardly ever contain it
# The letters of the escapes and the codes of their characters.
_ESCAPES = (("b", 8), ("t", 9), ("n", 10), ("v", 11), ("f", 12), ("r", 13), ("0", 0))


def read_tsv(paths: Sequence[str], header: Header, max_line_size: int = MAX_LINE_SIZE) -> str:
    """Return a table function that reads files with this header into text columns of the same names.

    The texts are still escaped; see `unescape_sql`. It needs a few buffers of `max_line_size` bytes.
    """
    files = ", ".join(text_literal(literal_path(path)) for path in paths)
    columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in header.names)
    return (
        f"read_csv([{files}], columns = {{{columns}}}, header = true, auto_detect = false, compression = 'gzip', "
        rf"delim = '\t', quote = '', escape = '', comment = '', new_line = '\n', nullstr = '\N', "
        f"max_line_size = {max_line_size}, buffer_size = {max_line_size}, strict_mode = true)"
    )


def unescape_sql(text: str) -> str:
    """Return an SQL expression for the text of a column without escapes.

    Two backslashes represent one. They must be set aside first, or the second would be taken for the beginning of
    another escape. A placeholder character does that cheaply; a text that contains the placeholder itself is split at
    double backslashes instead, which costs far more. Most texts contain no backslash and stay as they are.
    """
    set_aside = f"replace({text}, '{_DOUBLED}', {_PLACEHOLDER})"
    fast = f"replace({_replace_escapes(set_aside)}, {_PLACEHOLDER}, '{_BACKSLASH}')"
    pieces = f"list_transform(string_split({text}, '{_DOUBLED}'), lambda piece: {_replace_escapes('piece')})"
    return (
        f"CASE WHEN NOT contains({text}, '{_BACKSLASH}') THEN {text}"
        f" WHEN contains({text}, {_PLACEHOLDER}) THEN array_to_string({pieces}, '{_BACKSLASH}') ELSE {fast} END"
    )


def _replace_escapes(text: str) -> str:
    for letter, code in _ESCAPES:
        text = f"replace({text}, '{_BACKSLASH}{letter}', chr({code}))"
    return text


def has_unusual_year(text: str) -> str:
    """Return a condition that is true for a date or date-time whose year does not have four digits, or is 0."""
    return f"(starts_with({text}, '+') OR starts_with({text}, '-') OR starts_with({text}, '0000-'))"


def original_values(table: Table, header: Header, conditions: Mapping[str, str]) -> str:
    """Return an expression for the original texts of values that are about to be repaired; null for other rows.

    It is JSON: `{"key": {column: text}, "values": {column: text or null}}`.

    Args:
        table: the table.
        header: of the files.
        conditions: by column, a condition that is true for values to repair.
    """
    if not conditions:
        return "CAST(NULL AS VARCHAR)"
    key = _json({column.name: _original(header, column.name) for column in table.key})
    values = _json(
        {name: f"CASE WHEN {condition} THEN {_original(header, name)} END" for name, condition in conditions.items()}
    )
    row = _json({"key": key, "values": values})
    return f"CASE WHEN {' OR '.join(conditions.values())} THEN CAST({row} AS VARCHAR) END"


def _original(header: Header, column: str) -> str:
    return unescape_sql(quote_identifier(header.source(column) or column))


def _json(fields: Mapping[str, str]) -> str:
    return f"json_object({', '.join(f'{text_literal(name)}, {sql}' for name, sql in fields.items())})"


def literal_path(path: str) -> str:
    """Return a path in which DuckDB finds no pattern."""
    return re.sub(r"[\[\]*?]", r"[\g<0>]", path)


def quote_identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
