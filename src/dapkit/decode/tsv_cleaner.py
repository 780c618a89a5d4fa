r"""TSV files that are not as the service documents them: accepted, repaired or rejected, once for every target.

Targets read files as they are and reject whatever is unusual. Then this module reads the files line by line, and writes
usual ones in their place, if it can. The page "Malformed files" of the documentation has the table of what it does.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from dapkit.decode.surrogates import replace_unpaired_surrogates
from dapkit.decode.tsv import BOM, META_ACTION, META_TS, Header, decode_field, parse_header, split_fields, split_file
from dapkit.errors import MalformedFileError
from dapkit.model import JSON_KINDS, Table

RepairListener = Callable[[str, Mapping[str, str | None], str, bool], None]
"""Called before a value is repaired: its column, the key of its row, its original, and whether it can be repaired."""

_NULL = b"\\N"
_ACTIONS = (b"U", b"D")
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\0": r"\0"}
)


def json_columns(table: Table, header: Header) -> tuple[int, ...]:
    """Return the places of the columns in a line whose text is JSON."""
    kinds = {column.name: column.type.kind for column in table.columns}
    return tuple(index for index, name in enumerate(header.columns) if name and kinds.get(name) in JSON_KINDS)


class TsvCleaner:
    """Writes usual files in place of the files of one load.

    Args:
        table: the table to load them into.
        action: whether they are an increment.
        on_repair: see `RepairListener`; what it raises ends the cleaning.

    Attributes:
        changed: whether any file was unusual.
        lines: how many lines were read, without headers.
        rows: how many rows were written.
    """

    def __init__(self, table: Table, *, action: bool, on_repair: RepairListener) -> None:
        self._table = table
        self._with_action = action
        self._on_repair = on_repair
        self._columns: tuple[str, ...] = ()
        self.changed = False
        self.lines = self.rows = 0

    def clean(self, paths: Sequence[Path], folder: Path) -> tuple[Path, ...]:
        """Write a usual file for each that is not empty, into another folder; return the new files.

        Raises:
            MalformedFileError: a file cannot be loaded.
            IntegrityError: a file is corrupt.
            OSError: a file cannot be read or written.
        """
        return tuple(
            self._clean_file(path, folder / f"{number}.tsv.gz") for number, path in enumerate(self._full(paths))
        )

    def _full(self, paths: Sequence[Path]) -> Iterator[Path]:
        for path in paths:
            if next(split_file(path), None) is None:
                self.changed = True
            else:
                yield path

    def _clean_file(self, path: Path, copy: Path) -> Path:
        lines = _lines(path)
        line = next(lines)
        header = parse_header(line.removeprefix(BOM).removesuffix(b"\r"), path.name, self._table)
        columns = tuple(name for name in header.names if not name.startswith("meta."))
        self._columns = self._columns or columns
        if sorted(columns) != sorted(self._columns):
            message = f"{path.name} has other columns than the files before it"
            raise MalformedFileError(message, table=self._table.name)
        usual = (META_TS, *((META_ACTION,) if self._with_action else ()), *self._columns)
        self.changed |= header.names != usual or line != "\t".join(usual).encode()
        rows = _RowCleaner(
            file=path.name,
            table=self._table,
            header=header,
            usual=Header(usual),
            crlf=line.endswith(b"\r"),
            on_repair=self._on_repair,
        )
        with gzip.open(copy, "wb", compresslevel=1) as file:
            file.write("\t".join(usual).encode() + b"\n")
            for number, old in enumerate(lines, 2):
                row = rows.clean(old, number)
                self.lines += 1
                self.changed |= row != old
                if row is not None:
                    self.rows += 1
                    file.write(row + b"\n")
        return copy


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the header and the lines after it, without line feeds."""
    header: bytes | None = None
    for line, block in split_file(path):
        if header is None:
            header = line
            yield header
        if block:
            yield from block.removesuffix(b"\n").split(b"\n")


@dataclass(frozen=True, kw_only=True)
class _RowCleaner:
    """Cleans the lines of one file.

    Attributes:
        file: its name.
        header: of the file.
        usual: the header to write: `meta.ts`, for an increment `meta.action`, and the columns.
        crlf: whether lines end with a carriage return and a line feed.
    """

    file: str
    table: Table
    header: Header
    usual: Header
    crlf: bool
    on_repair: RepairListener

    @cached_property
    def _sources(self) -> tuple[int | None, ...]:
        """For each field of a usual line its place in a line of the file; None if the file does not have it."""
        names = self.header.names
        return tuple(names.index(name) if name in names else None for name in self.usual.names)

    @cached_property
    def _action_source(self) -> int | None:
        return self.header.names.index(META_ACTION) if META_ACTION in self.header.names else None

    @cached_property
    def _json(self) -> frozenset[int]:
        return frozenset(json_columns(self.table, self.usual))

    @cached_property
    def _key(self) -> dict[str, int]:
        """The places of the key in a usual line, by column."""
        return {column.name: self.usual.columns.index(column.name) for column in self.table.key}

    @cached_property
    def _values(self) -> tuple[int, ...]:
        """The places of the other columns in a usual line."""
        return tuple(index for index, name in enumerate(self.usual.columns) if name and name not in self._key)

    def clean(self, line: bytes, number: int) -> bytes | None:
        """Return a usual line; None if the line is not a row. Raises MalformedFileError."""
        line = line.removesuffix(b"\r") if self.crlf else line
        if not line and len(self.header.names) > 1:
            return None
        fields = split_fields(line)
        if len(fields) != len(self.header.names):
            raise self._malformed(number, f"has {len(fields)} fields instead of {len(self.header.names)}")
        row = [_NULL if source is None else fields[source] for source in self._sources]
        row[0] = row[0] if _is_time(row[0]) else _NULL
        action = _NULL if self._action_source is None else fields[self._action_source]
        if META_ACTION in self.usual.names:
            row[1] = self._implied_action(row, number) if action == _NULL else action
        elif action == b"D":
            return None  # a snapshot does not have deleted rows
        if action not in (_NULL, *_ACTIONS):
            raise self._malformed(number, f"has the action {decode_field(action)!r} instead of U or D")
        if row[1] == b"D" and META_ACTION in self.usual.names:
            for index in self._values:  # they need not follow the schema
                row[index] = _NULL
        if not line.isascii() or b"\r" in line or b"\0" in line or b"\\\\u" in line:
            self._repair(row)
        return b"\t".join(row)

    def _implied_action(self, row: Sequence[bytes], number: int) -> bytes:
        """Return the action of a row that does not say it: rows that were deleted have no values."""
        if any(row[index] != _NULL for index in self._values):
            return b"U"
        if any(column.required for column in self.table.value):
            return b"D"
        raise self._malformed(number, "has neither values nor an action: the row may have been updated or deleted")

    def _repair(self, row: list[bytes]) -> None:
        for index, name in enumerate(self.usual.columns):
            if name is None:
                continue
            repaired = row[index].decode("utf-8", "replace").encode()
            if index in self._json and b"\\\\u" in repaired:
                text = decode_field(repaired) or ""
                paired = replace_unpaired_surrogates(text)
                repaired = repaired if paired == text else _encode_field(paired)
            if repaired != row[index]:
                key = {column: decode_field(row[place], "backslashreplace") for column, place in self._key.items()}
                # A repaired key could be equal to that of another row.
                self.on_repair(name, key, decode_field(row[index], "backslashreplace") or "", name not in self._key)
            if b"\r" in repaired or b"\0" in repaired:
                repaired = _encode_field(decode_field(repaired) or "")
            row[index] = repaired

    def _malformed(self, number: int, problem: str) -> MalformedFileError:
        return MalformedFileError(f"Line {number:,} of {self.file} {problem}", table=self.table.name)


def _is_time(field: bytes) -> bool:
    try:
        datetime.fromisoformat(field.decode())
    except ValueError:
        return False
    return True


def _encode_field(text: str) -> bytes:
    return text.translate(_ESCAPES).encode()
