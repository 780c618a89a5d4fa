"""Copies the files of one load into one table: unchanged if possible, with every value checked if that fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from dapkit.decode.tsv import Header, copy_field, decode_field, has_non_copy_escape, row_blocks, split_fields
from dapkit.errors import BadValueError
from dapkit.targets.base import Load
from dapkit.targets.postgres.copy_sql import CopySql
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.postgres.errors import bad_value, translated
from dapkit.targets.sql.value_repairs import ValueRepairs


class _ForeignEscapeError(Exception):
    """A file has an escape that COPY reads differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLoader:
    """The files of one load, and the table into which they are copied, within a transaction.

    Attributes:
        into: the staging table, or the new table, which then has `meta` columns that accept anything.
    """

    connection: "psycopg.Connection[tuple[object, ...]]"
    dialect: PostgresDialect
    load: Load
    header: Header
    repairs: ValueRepairs
    into: str

    def run(self) -> int:
        """Copy every file; return how many rows there were."""
        return sum(self._copy_file(path) for path in self.load.files.paths)

    def _copy_file(self, path: Path) -> int:
        copying = CopySql(self.dialect, self.load.table, self.header)
        # Nearly all files are copied the quick way. A savepoint per file means that only a failing file is read again.
        try:
            with self.connection.transaction():
                return self._quickly(copying, path)
        except _ForeignEscapeError:
            pass
        except psycopg.Error as error:
            if not bad_value(error):
                raise
        return self._carefully(replace(copying, careful=True), path)

    def _quickly(self, copying: CopySql, path: Path) -> int:
        if copying.direct:
            return self._copy(copying.copy(self.into), _native_blocks(path))
        self._run(*copying.create_raw())
        self._copy(copying.copy_raw(), _native_blocks(path))
        return self._run(*copying.add_values(), copying.insert(self.into))

    def _carefully(self, copying: CopySql, path: Path) -> int:
        self._run(*copying.create_raw())
        self._copy(copying.copy_raw(), _repaired_blocks(path, copying.header, self._note_nul))
        self._note_repairs(copying)
        try:
            with self.connection.transaction():
                return self._run(*copying.add_values(), copying.insert(self.into))
        except psycopg.Error as error:
            if bad_value(error):
                self._blame(copying)
            raise

    def _note_nul(self, names: Header, line: list[bytes], index: int) -> None:
        columns = dict(zip(names.columns, line, strict=True))
        key = {
            column.name: decode_field(columns[column.name]) for column in self.load.table.key if column.name in columns
        }
        self.repairs.note(names.columns[index] or names.names[index], key, decode_field(line[index]) or "")

    def _note_repairs(self, copying: CopySql) -> None:
        """Note every value that is repaired."""
        names = [column.name for column in self.load.table.key]
        for suspect in copying.suspects():
            with self.connection.cursor(name="dapkit_suspects") as cursor:
                for *key, original in cursor.execute(copying.find(suspect).encode()):
                    row = {name: str(value) for name, value in zip(names, key, strict=True)}
                    self.repairs.note(suspect.column.name, row, str(original), repairable=suspect.repairable)

    def _blame(self, copying: CopySql) -> None:
        """Name the column at which an insert failed."""
        for column in copying.columns:
            try:
                with self.connection.transaction():
                    self._run(*copying.trial(column))
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
    """Yield the lines of a file in the form that COPY reads; fields with NUL characters are noted."""
    for block in row_blocks(path):
        if not has_non_copy_escape(block):
            yield block
            continue
        lines = block.removesuffix(b"\n").split(b"\n")
        yield b"".join(_repaired_line(line, names, note) + b"\n" for line in lines)


def _repaired_line(line: bytes, names: Header, note: Callable[[Header, list[bytes], int], None]) -> bytes:
    if not has_non_copy_escape(line + b"\n"):  # COPY continues the row after a backslash at the end of a line
        return line
    fields = split_fields(line)
    complete = len(fields) == len(names.names)  # COPY rejects a line that is not
    for index, field in enumerate(fields):
        if complete and "\0" in (decode_field(field) or ""):
            note(names, fields, index)
    return b"\t".join(map(copy_field, fields))
