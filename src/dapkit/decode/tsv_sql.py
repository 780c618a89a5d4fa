r"""PURE: SQL by which DuckDB reads TSV objects, exactly: each column as text, nulls apart from empty texts.

DuckDB's own reader splits the lines (no general CSV reader knows COPY's escapes, so quoting and escaping are off), and
an expression takes the escapes of a column back.
"""

from collections.abc import Sequence

from dapkit.decode.tsv import Header

__all__ = ["read_tsv", "text_literal", "unescaped"]

_LONGEST_LINE = 256 << 20
# The letters of COPY's escapes and what they stand for; a NUL has one of its own here.
_ESCAPES = (("b", 8), ("t", 9), ("n", 10), ("v", 11), ("f", 12), ("r", 13), ("0", 0))


def read_tsv(paths: Sequence[str], header: Header) -> str:
    """Return a table function that reads the files, all with this header, into columns of text named as there.

    The texts still bear their escapes; `unescaped` takes them back.
    """
    files = ", ".join(map(text_literal, paths))
    columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in header.names)
    return (
        f"read_csv([{files}], columns = {{{columns}}}, header = true, auto_detect = false, compression = 'gzip', "
        rf"delim = '\t', quote = '', escape = '', comment = '', new_line = '\n', nullstr = '\N', "
        f"max_line_size = {_LONGEST_LINE}, strict_mode = true)"
    )


def unescaped(text: str) -> str:
    """Return an expression for the text of a column without its escapes.

    Two backslashes stand for one; they are set apart first, so that the second is not taken for the beginning of
    another escape.
    """
    piece = "piece"
    for letter, code in _ESCAPES:
        piece = rf"replace({piece}, '\{letter}', chr({code}))"
    pieces = rf"list_transform(string_split({text}, '\\'), lambda piece: {piece})"
    return rf"CASE WHEN contains({text}, '\') THEN array_to_string({pieces}, '\') ELSE {text} END"


def text_literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
