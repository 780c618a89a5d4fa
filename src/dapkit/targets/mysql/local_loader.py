"""Loads the files of one load into one table: unchanged if possible, with every value checked if that fails.

LOAD DATA LOCAL turns errors into warnings and continues, so every warning counts as an error. After a warning, the
files are loaded again with checks and repairs of values; whatever the server still warns about then is rejected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql

from dapkit.decode.tsv import Header, row_blocks
from dapkit.decode.tsv_cleaner import json_columns
from dapkit.errors import TargetError
from dapkit.targets.base import Load
from dapkit.targets.mysql.connection import LocalInfileConnection
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.errors import BROKEN_LINES, DUPLICATE, LOCAL_FORBIDDEN, code_of, error_of, translated
from dapkit.targets.mysql.load_data import InsertStatements, load_data
from dapkit.targets.mysql.tsv_escapes import LineRepairs, native
from dapkit.targets.sql.driver import RepeatedKeysError
from dapkit.targets.sql.value_repairs import ValueRepairs

_STATEMENT = 512 * 1024
"""Bytes of rows in one INSERT; less if the server accepts less."""

_HEAD = 16 * 1024
"""Bytes for what precedes the rows: the names of the columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLoader:
    """The files of one load, and the table into which they are loaded, within a transaction.

    Attributes:
        into: the table, its name as SQL writes it.
        meta: whether it has `meta` columns.
    """

    connection: LocalInfileConnection
    dialect: MySqlDialect
    load: Load
    header: Header
    repairs: ValueRepairs
    into: str
    meta: bool

    def run(self) -> int:
        """Load every file; return how many rows there were.

        Raises:
            RepeatedKeysError: the table has a key, and one occurred more than once.
            BadValueError: a value cannot be stored, and may not or cannot be repaired.
            IntegrityError: a file is damaged.
        """
        with translated(self.dialect.facts.product, self.load.table.name):
            self._execute("SAVEPOINT dapkit_files")
            try:
                rows, warnings = self._send(self._blocks())
            except pymysql.Error as error:
                if code_of(error) not in LOCAL_FORBIDDEN:
                    raise
                return self._insert(self._repaired(check_utf8=True))
            if not warnings:
                return rows
            self._require_no_duplicates(warnings)
            self._execute("ROLLBACK TO SAVEPOINT dapkit_files")
            rows, warnings = self._send(self._repaired())
            self._require_no_duplicates(warnings)
            for code, words in warnings.items():
                raise error_of(self.dialect.facts.product, code, words, self.load.table.name)
            return rows

    def _require_no_duplicates(self, warnings: dict[int, str]) -> None:
        if DUPLICATE in warnings:  # rows whose key existed already were skipped
            raise RepeatedKeysError(warnings[DUPLICATE], table=self.load.table.name)

    def _repaired(self, *, check_utf8: bool = False) -> Iterator[bytes]:
        blocks = self._blocks(check_utf8=check_utf8)
        return LineRepairs(self.load.table, self.header, self.repairs).lines(blocks)

    def _send(self, lines: Iterable[bytes]) -> tuple[int, dict[int, str]]:
        """Send lines; return how many rows they became, and the first of each kind of warning."""
        statement = load_data(self.dialect, self.load.table, self.header, self.into, meta=self.meta)
        loaded = self.connection.load(statement, map(native, lines))
        if not loaded.warnings:
            return loaded.rows, {}
        warnings: dict[int, str] = {}
        for _, code, words in self._execute("SHOW WARNINGS"):
            warnings.setdefault(int(code), str(words))
        # With max_error_count = 0 the server shows none, but a load that had one must not pass for a good one.
        warnings = warnings or {0: f"{loaded.warnings} warnings, which its setting max_error_count hides"}
        # A malformed line gives warnings about its values too; the line itself is the better message.
        return loaded.rows, dict(sorted(warnings.items(), key=lambda warning: warning[0] not in BROKEN_LINES))

    def _insert(self, lines: Iterable[bytes]) -> int:
        """Insert lines in statements of many rows, where the server forbids LOAD DATA LOCAL."""
        inserting = InsertStatements(self.dialect, self.load.table, self.header, meta=self.meta)
        limit = int(self._execute("SELECT @@max_allowed_packet")[0][0]) - _HEAD
        rows: list[str] = []
        count = size = 0
        try:
            for block in lines:
                for line in block.removesuffix(b"\n").split(b"\n"):
                    row = inserting.row(line, self.connection.escape)
                    length = len(row.encode())
                    self._require_fit(length, limit)
                    if size + length > min(_STATEMENT, limit):
                        count += self._flush(inserting, rows)
                        size = 0
                    rows.append(row)
                    size += length + 2
            return count + self._flush(inserting, rows)
        except pymysql.IntegrityError as error:
            if code_of(error) == DUPLICATE:
                raise RepeatedKeysError(str(error), table=self.load.table.name) from error
            raise

    def _require_fit(self, length: int, limit: int) -> None:
        """Raise before the server would: it answers a longer statement by closing the connection."""
        if length > limit:
            message = f"A row of {length:,} bytes is longer than the server's max_allowed_packet allows"
            hint = (
                f"Set max_allowed_packet to at least {length + _HEAD:,} bytes on the server,"
                " or allow `local_infile`: then the length of a row does not matter."
            )
            raise TargetError(message, hint=hint, table=self.load.table.name)

    def _flush(self, inserting: InsertStatements, rows: list[str]) -> int:
        if not rows:
            return 0
        with self.connection.cursor() as cursor:
            count = cursor.execute(inserting.statement(self.into, rows))
        rows.clear()
        return int(count)

    def _blocks(self, *, check_utf8: bool = False) -> Iterator[bytes]:
        # Into JSON, MariaDB stores unpaired surrogates, which other programs then cannot read, and MySQL stores
        # something else in place of bytes that are not UTF-8. Neither of them warns.
        json = json_columns(self.load.table, self.header)
        for path in self.load.files.paths:
            yield from row_blocks(path, json, check_utf8=check_utf8 or bool(json))

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
