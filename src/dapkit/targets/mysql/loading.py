"""Brings the parts of one load into one table: quickly as they come, with care where the server has doubts.

LOAD DATA LOCAL turns errors into warnings and goes on, so every warning counts as an error. After one the parts are
read once more, with every value looked at that may have to be repaired; what the server then still doubts is refused.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql

from dapkit.decode.tsv import Header, row_blocks
from dapkit.errors import BadValueError
from dapkit.targets.base import BadValues, Load
from dapkit.targets.mysql.connection import Wire
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.errors import BROKEN_LINES, DUPLICATE, LOCAL_FORBIDDEN, code_of, translated, verdict
from dapkit.targets.mysql.reading import Inserting, load_data
from dapkit.targets.mysql.tsv_escapes import Repairs, native
from dapkit.targets.sql.value_repairs import append

__all__ = ["Brought", "Loader", "RepeatedKeysError"]

_STATEMENT = 512 * 1024
"""Bytes of rows in one INSERT; servers take at least twice as much."""

_REPAIRS_HELD = 1000


class RepeatedKeysError(Exception):
    """A key is there more than once, so that rows were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """How many rows came, and how many values were repaired by column."""

    rows: int
    repaired: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """The parts of one load on their way into one table, within a transaction.

    Attributes:
        into: the table, its name as SQL writes it.
        meta: whether it has `meta` columns.
    """

    wire: Wire
    dialect: MySqlDialect
    load: Load
    header: Header
    into: str
    meta: bool

    def run(self) -> Brought:
        """Load every part.

        Raises:
            RepeatedKeysError: the table has a key, and one came more than once.
            BadValueError: a value cannot be held, and may not or cannot be repaired.
            IntegrityError: a file is harmed.
        """
        with translated(self.load.table.name):
            self._execute("SAVEPOINT dapkit_parts")
            try:
                rows, doubts = self._send(self._blocks())
            except pymysql.Error as error:
                if code_of(error) not in LOCAL_FORBIDDEN:
                    raise
                return self._with_care(local=False)
            if not doubts:
                return Brought(rows=rows, repaired={})
            if DUPLICATE in doubts:
                raise RepeatedKeysError
            self._execute("ROLLBACK TO SAVEPOINT dapkit_parts")
            return self._with_care(local=True)

    def _with_care(self, *, local: bool) -> Brought:
        repairs = Repairs(self.load.table, self.header)
        counts: Counter[str] = Counter()
        lines = self._repaired(repairs, counts)
        if local:
            rows, doubts = self._send(lines)
            if DUPLICATE in doubts:
                raise RepeatedKeysError
            for code, words in doubts.items():
                raise verdict(code, words, self.load.table.name)
        else:
            rows = self._insert(lines)
        return Brought(rows=rows, repaired=dict(counts))

    def _send(self, lines: Iterable[bytes]) -> tuple[int, dict[int, str]]:
        """Send lines; return how many rows they became, and the first of each kind of warning."""
        statement = load_data(self.dialect, self.load.table, self.header, self.into, meta=self.meta)
        loaded = self.wire.load(statement, map(native, lines))
        if not loaded.warnings:
            return loaded.rows, {}
        doubts: dict[int, str] = {}
        for _, code, words in self._execute("SHOW WARNINGS"):
            doubts.setdefault(int(code), str(words))
        # A line that is none makes its values doubtful; that is the lesser news.
        return loaded.rows, dict(sorted(doubts.items(), key=lambda doubt: doubt[0] not in BROKEN_LINES))

    def _insert(self, lines: Iterable[bytes]) -> int:
        """Insert lines in statements of many rows, where the server does not allow more."""
        inserting = Inserting(self.dialect, self.load.table, self.header, meta=self.meta)
        count, rows, size = 0, [], 0
        try:
            for block in lines:
                for line in block.removesuffix(b"\n").split(b"\n"):
                    rows.append(inserting.row(line, self.wire.escape))
                    size += len(rows[-1])
                    if size > _STATEMENT:
                        count += self._flush(inserting, rows)
                        size = 0
            return count + self._flush(inserting, rows)
        except pymysql.IntegrityError as error:
            if code_of(error) == DUPLICATE:
                raise RepeatedKeysError from error
            raise

    def _flush(self, inserting: Inserting, rows: list[str]) -> int:
        if not rows:
            return 0
        with self.wire.cursor() as cursor:
            count = cursor.execute(inserting.statement(self.into, rows))
        rows.clear()
        return int(count)

    def _blocks(self) -> Iterator[bytes]:
        for path in self.load.parts.paths:
            yield from row_blocks(path)

    def _repaired(self, repairs: Repairs, counts: Counter[str]) -> Iterator[bytes]:
        """Yield lines with what cannot be held repaired, and take down the originals."""
        for block in repairs.lines(self._blocks()):
            yield block
            if len(repairs.found) > _REPAIRS_HELD:
                self._take_down(repairs, counts)
        self._take_down(repairs, counts)

    def _take_down(self, repairs: Repairs, counts: Counter[str]) -> None:
        options = self.load.options
        if repairs.found and options.bad_values is BadValues.FAIL:
            first = repairs.found[0]
            message = f"MySQL cannot hold {first.value[:80]!r} in column {first.column}"
            raise BadValueError(message, table=self.load.table.name)
        counts.update(repair.column for repair in repairs.found)
        if repairs.found and options.side_file is not None:
            append(options.side_file, self.load.table, repairs.found)
        repairs.found.clear()

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        with self.wire.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())
