"""DuckDB as a target: `duckdb:FILE`. DuckDB reads the files by itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dapkit.decode.tsv import header
from dapkit.errors import BadValueError, TargetError, UnreachableTargetError, UsageError
from dapkit.targets.base import BadValues, Load
from dapkit.targets.duckdb.dialect import DuckDbDialect
from dapkit.targets.sql import SqlSession, Staged

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckDbTarget"]

_STAGING = '"dapkit_staging"'


class DuckDbTarget:
    """A DuckDB file. One process may write to it at a time, from several cursors."""

    most_sessions = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"duckdb:{path.absolute()}"

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that `duckdb:FILE` names."""
        file = url.partition(":")[2].removeprefix("//")
        if not file:
            raise UsageError("The target duckdb: names no file", hint="Write it like duckdb:college.duckdb")
        return cls(Path(file))

    def open(self) -> "DuckDbSession":
        """Open the file, which is made where it is missing."""
        import duckdb  # noqa: PLC0415, only where it is used

        try:
            return DuckDbSession(duckdb.connect(str(self.path)))
        except duckdb.Error as error:
            hint = "Close the program that has it open, and check that it is a DuckDB file that you may write to."
            raise UnreachableTargetError(f"{self.path} cannot be opened: {_first_line(error)}", hint=hint) from error


class DuckDbSession(SqlSession):
    """A connection to a DuckDB file."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self.dialect: DuckDbDialect = DuckDbDialect()
        self._connection = connection

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        import duckdb  # noqa: PLC0415, loaded by now

        try:
            return self._connection.execute(sql, list(values)).fetchall()
        except duckdb.ConversionException as error:
            raise BadValueError(f"DuckDB cannot hold a value: {_first_line(error)}") from error
        except duckdb.Error as error:
            raise TargetError(f"DuckDB says: {_first_line(error)}") from error

    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        rows = self.query(sql, values)
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything within, or nothing."""
        self.query("BEGIN TRANSACTION")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise

    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table or view of this name."""
        sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
        return bool(self.query(sql, (namespace, table)))

    def stage(self, load: Load, *, action: bool) -> Staged:  # noqa: ARG002, the header tells
        """Let DuckDB read the files into a temporary table."""
        paths = [str(path) for path in load.parts.paths]
        if not paths:
            names = self.dialect.listed(load.table.columns)
            self.modify(
                f"CREATE OR REPLACE TEMPORARY TABLE {_STAGING} AS SELECT '' AS \"meta.ts\", '' AS \"meta.action\","
                f" {names} FROM {self.dialect.of(load.table)} LIMIT 0"
            )
            return Staged(name=_STAGING, rows=0)
        first = header(load.parts.paths[0])
        repaired = self._repaired(load, paths)
        rows = self.modify(self.dialect.stage(load.table, first, paths, _STAGING))
        return Staged(name=_STAGING, rows=rows, repaired=repaired)

    def _repaired(self, load: Load, paths: list[str]) -> dict[str, int]:
        sql = self.dialect.count_repaired(load.table, header(load.parts.paths[0]), paths)
        if sql is None:
            return {}
        far = [column.name for column in load.table.columns if f'AS "{column.name}"' in sql]
        counts = {name: count for name, count in zip(far, self.query(sql)[0], strict=True) if count}
        if counts and load.options.bad_values is BadValues.FAIL:
            raise BadValueError(f"Times out of range in {', '.join(counts)}", table=load.table.name)
        return counts

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
