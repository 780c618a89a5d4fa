"""Brings the parts of one load into one table: quickly as they come, with care where that fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from dapkit.decode.tsv import Header, copy_field, decode_field, has_non_copy_escape, row_blocks, split_fields
from dapkit.errors import BadValueError
from dapkit.targets.base import Load
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.postgres.errors import bad_value, translated
from dapkit.targets.postgres.staging import Reading
from dapkit.targets.sql.value_repairs import Repairs

__all__ = ["Loader"]


class _ForeignEscapeError(Exception):
    """A part has an escape that COPY reads in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """The parts of one load on their way into one table, within a transaction.

    Attributes:
        into: the temporary table, or the live one, whose `meta` columns then take anything.
    """

    connection: "psycopg.Connection[tuple[object, ...]]"
    dialect: PostgresDialect
    load: Load
    header: Header
    repairs: Repairs
    into: str

    def run(self) -> int:
        """Load every part; return how many rows came."""
        return sum(self._part(path) for path in self.load.parts.paths)

    def _part(self, path: Path) -> int:
        reading = Reading(self.dialect, self.load.table, self.header)
        try:
            with self.connection.transaction():
                return self._quickly(reading, path)
        except _ForeignEscapeError:
            pass
        except psycopg.Error as error:
            if not bad_value(error):
                raise
        return self._carefully(replace(reading, careful=True), path)

    def _quickly(self, reading: Reading, path: Path) -> int:
        if reading.direct:
            return self._copy(reading.copy(self.into), _native_blocks(path))
        self._run(*reading.create_raw())
        self._copy(reading.copy_raw(), _native_blocks(path))
        return self._run(*reading.add_values(), reading.insert(self.into))

    def _carefully(self, reading: Reading, path: Path) -> int:
        self._run(*reading.create_raw())
        self._copy(reading.copy_raw(), _repaired_blocks(path, reading.header, self._note_nul))
        self._look(reading)
        try:
            with self.connection.transaction():
                return self._run(*reading.add_values(), reading.insert(self.into))
        except psycopg.Error as error:
            if bad_value(error):
                self._blame(reading)
            raise

    def _note_nul(self, names: Header, line: list[bytes], place: int) -> None:
        columns = dict(zip(names.columns, line, strict=True))
        key = {
            column.name: decode_field(columns[column.name]) for column in self.load.table.key if column.name in columns
        }
        self.repairs.note(names.columns[place] or names.names[place], key, decode_field(line[place]) or "")

    def _look(self, reading: Reading) -> None:
        """Take down every value that is repaired."""
        names = [column.name for column in self.load.table.key]
        for suspect in reading.suspects():
            with self.connection.cursor(name="dapkit_suspects") as cursor:
                for *key, original in cursor.execute(reading.find(suspect).encode()):
                    row = {name: str(value) for name, value in zip(names, key, strict=True)}
                    self.repairs.note(suspect.column.name, row, str(original), repairable=suspect.repairable)

    def _blame(self, reading: Reading) -> None:
        """Name the column at which an insert failed."""
        for column in reading.columns:
            try:
                with self.connection.transaction():
                    self._run(*reading.trial(column))
            except psycopg.Error as error:
                message = f"Column {column.name}: {translated(error).message}"
                raise BadValueError(message, table=self.load.table.name) from error

    def _copy(self, sql: str, lines: Iterator[bytes]) -> int:
        with self.connection.cursor() as cursor:
            with cursor.copy(sql.encode()) as copy:
                for block in lines:
                    copy.write(block)
            return cursor.rowcount

    def _run(self, *statements: str) -> int:
        count = 0
        for statement in statements:
            count = self.connection.execute(statement.encode()).rowcount
        return count


def _native_blocks(path: Path) -> Iterator[bytes]:
    for block in row_blocks(path):
        if has_non_copy_escape(block):
            raise _ForeignEscapeError
        yield block


def _repaired_blocks(path: Path, names: Header, note: Callable[[Header, list[bytes], int], None]) -> Iterator[bytes]:
    """Yield a part's lines as COPY reads them; fields with NUL characters are noted."""
    for block in row_blocks(path):
        if not has_non_copy_escape(block):
            yield block
            continue
        lines = block.removesuffix(b"\n").split(b"\n")
        yield b"".join(_repaired_line(line, names, note) + b"\n" for line in lines)


def _repaired_line(line: bytes, names: Header, note: Callable[[Header, list[bytes], int], None]) -> bytes:
    if not has_non_copy_escape(line):
        return line
    there = split_fields(line)
    whole = len(there) == len(names.names)  # COPY finds a line that is not
    for place, field in enumerate(there):
        if whole and "\0" in (decode_field(field) or ""):
            note(names, there, place)
    return b"\t".join(map(copy_field, there))
