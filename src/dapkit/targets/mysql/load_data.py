r"""PURE: LOAD DATA statements, with the conversions that turn the text of a file into the rows of a table.

MySQL reads some texts differently from the service: `true` and `false`, the `Z` at the end of a time, UUIDs and
addresses (which are stored as bytes), and a text of digits in an ENUM (which it reads as the index of a value). For a
text that cannot be converted, an expression returns a value that the column cannot store either, so that the server
reports an error. Fractions of seconds are left to the server, as the official client does: MySQL rounds them, MariaDB
cuts them off.
"""

from collections.abc import Callable, Iterator, Sequence

from dapkit.decode.tsv import META_TS, Header, decode_field, split_fields
from dapkit.errors import MalformedFileError
from dapkit.model import Column, Table, TypeKind
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.sql.dialect import identifier

_SLOT = "\0"
"""A placeholder for the text that an expression converts."""

_NO_TIME = "'?'"
_NO_BYTES = "_binary'?????????????????'"
"""Longer than any column of bytes."""


def load_data(dialect: MySqlDialect, table: Table, header: Header, into: str, *, meta: bool) -> str:
    """Return the statement that loads lines into a table. `meta`: whether the table has the lines' `meta` columns."""
    targets: list[str] = []
    assigned: list[str] = []
    for number, (name, value) in enumerate(_field_columns(dialect, table, header, meta=meta)):
        if name is not None and value is None:
            targets.append(identifier(name))
            continue
        targets.append(f"@v{number}")
        if name is not None and value is not None:
            assigned.append(f"{identifier(name)} = {value.replace(_SLOT, targets[-1])}")
    missing = (column for column in table.columns if header.source(column.name) is None)
    assigned += [f"{identifier(column.name)} = NULL" for column in missing]
    return (
        rf"LOAD DATA LOCAL INFILE 'dapkit' INTO TABLE {into} CHARACTER SET utf8mb4"
        rf" FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' ({', '.join(targets)})"
        + (f" SET {', '.join(assigned)}" if assigned else "")
    )


def _field_columns(
    dialect: MySqlDialect, table: Table, header: Header, *, meta: bool
) -> Iterator[tuple[str | None, str | None]]:
    """Yield for each field of a line its column, None to skip it, and its conversion, None to store it unchanged."""
    for name, source in zip(header.names, header.columns, strict=True):
        column = None if source is None else table.column(source)
        if column is not None:
            yield column.name, converted(dialect, column, _SLOT)
        elif not meta:
            yield None, None
        else:
            yield name, f"TRIM(TRAILING 'Z' FROM {_SLOT})" if name == META_TS else None


def converted(dialect: MySqlDialect, column: Column, text: str) -> str | None:
    """Return an expression for a column from the service's text; None where the server reads it correctly."""
    match column.type.kind:
        case TypeKind.BOOLEAN:
            return f"CASE {text} WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE {text} END"
        case TypeKind.DATETIME:
            # MySQL would accept an offset instead of the Z, and would fail to round the last second of all.
            offset = f"LOCATE('+', {text}) OR LOCATE('-', {text}, 12)"
            return (
                f"CASE WHEN {text} < '0001' THEN {_NO_TIME} WHEN {text} >= '9999-12-31T23:59:59' THEN LEFT({text}, 19)"
                f" WHEN RIGHT({text}, 1) = 'Z' THEN LEFT({text}, CHAR_LENGTH({text}) - 1)"
                f" WHEN {offset} THEN {_NO_TIME} ELSE {text} END"
            )
        case TypeKind.DATE:
            return f"IF({text} < '0001', {_NO_TIME}, {text})"
        case TypeKind.TIME:
            return f"TRIM(TRAILING 'Z' FROM {text})"
        case TypeKind.UUID:
            digits = f"REPLACE({text}, '-', '')"
            packed = f"IF(LENGTH({digits}) = 32, UNHEX({digits}), NULL)"
            return f"COALESCE({packed}, IF({text} IS NULL, NULL, {_NO_BYTES}))"
        case TypeKind.IPV4 | TypeKind.IP:
            return f"COALESCE(INET6_ATON({text}), IF({text} IS NULL, NULL, {_NO_BYTES}))"
        case TypeKind.IPV6:
            packed = f"IF(LENGTH(INET6_ATON({text})) = 16, INET6_ATON({text}), NULL)"
            return f"COALESCE({packed}, IF({text} IS NULL, NULL, {_NO_BYTES}))"
        case TypeKind.ENUM:
            return _enum(dialect, column.type.values, text)
    return None


def _enum(dialect: MySqlDialect, values: Sequence[str], text: str) -> str:
    return f"IF(FIELD({text}, {', '.join(map(dialect.facts.literal, values))}), {text}, CONCAT('?', {text}))"


class InsertStatements:
    """Builds INSERT statements from lines with one header, for servers that forbid LOAD DATA LOCAL."""

    def __init__(self, dialect: MySqlDialect, table: Table, header: Header, *, meta: bool) -> None:
        self._width = len(header.names)
        self._values: list[tuple[int, str]] = []
        names: list[str] = []
        for index, (name, value) in enumerate(_field_columns(dialect, table, header, meta=meta)):
            if name is not None:
                names.append(identifier(name))
                self._values.append((index, value or _SLOT))
        self._names = ", ".join(names)
        self._table = table.name

    def row(self, line: bytes, quoted: Callable[[str], str]) -> str:
        """Return a line as SQL writes a row.

        Raises:
            MalformedFileError: the line is malformed.
        """
        fields = split_fields(line)
        if len(fields) != self._width:
            raise MalformedFileError("A downloaded file has a malformed line", table=self._table)
        try:
            values = [value.replace(_SLOT, _text(fields[index], quoted)) for index, value in self._values]
        except UnicodeDecodeError as error:
            raise MalformedFileError("A downloaded file is not UTF-8", table=self._table) from error
        return f"({', '.join(values)})"

    def statement(self, into: str, rows: Sequence[str]) -> str:
        """Return the statement that inserts rows."""
        return f"INSERT INTO {into} ({self._names}) VALUES {', '.join(rows)}"


def _text(field: bytes, quoted: Callable[[str], str]) -> str:
    text = decode_field(field, "strict")
    return "NULL" if text is None else quoted(text)
