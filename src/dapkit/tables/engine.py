"""DuckDB as the engine that makes flat tables: one database in memory, a cursor for each thread, errors as ours."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dapkit.decode.tsv_rows import bad_value_error
from dapkit.decode.tsv_sql import literal_path
from dapkit.errors import BadValueError, DapError, DiskFullError, MalformedFileError, OutputError
from dapkit.tables.conversion import BAD_VALUE, FileType

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RAISED = re.compile(r"[\w ]+: " + re.escape(BAD_VALUE) + r"(.+)")
_DOES_NOT_FIT = "Failed to cast value"  # a decimal in JSON that is too large even for 38 digits
_NO_SPACE = re.compile(r"No space left on device|not enough space on the disk|max_temp_directory_size", re.IGNORECASE)
_MORE_MEMORY = "Give it more memory with --memory-limit."
_NESTED = {"struct", "list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What DuckDB may use: memory, such as `400MB`, threads, and a folder for what does not fit into memory."""

    memory_limit: str | None = None
    threads: int | None = None
    temp_folder: Path | None = None


class Engine:
    """A database in memory. Close it, or use it as a context manager."""

    def __init__(self, options: EngineOptions) -> None:
        import duckdb  # noqa: PLC0415 -- slow to import, and only some commands need it

        # Where the order of rows need not be kept, a tight limit of memory costs much less time.
        settings: dict[str, Any] = {"preserve_insertion_order": "false"}
        settings["temp_directory"] = str(options.temp_folder) if options.temp_folder else ""
        if options.memory_limit is not None:
            settings["memory_limit"] = options.memory_limit
        if options.threads is not None:
            settings["threads"] = options.threads
        self._connection = duckdb.connect(":memory:", config=settings)
        # GLOBAL: otherwise cursors would begin in the zone of the machine.
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        # Otherwise columns of a Parquet file would be required where its source happens to have no nulls, and the
        # pieces of a table could not be joined.
        self._connection.execute("SET GLOBAL disabled_optimizers = 'statistics_propagation'")

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement in a new cursor and return its rows. May be called from several threads."""
        with translated(), self._connection.cursor() as cursor:
            return cursor.execute(sql, list(values)).fetchall()

    def raw(self, sql: str) -> None:
        """Execute a statement without translating its errors."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def parquet_types(self, path: Path) -> dict[str, FileType]:
        """Return the types of a Parquet file's columns."""
        with translated(), self._connection.cursor() as cursor:
            rows = cursor.sql("SELECT * FROM read_parquet(?)", params=[literal_path(str(path))])
            return {name: _file_type(type_) for name, type_ in zip(rows.columns, rows.types, strict=True)}

    def json_names(self, path: Path) -> tuple[str, ...]:
        """Return the names of all columns that occur in a JSONL file, as a header would have them."""
        read = (
            "read_json(?, format = 'newline_delimited', compression = 'gzip', columns = {key: 'JSON', value: 'JSON'})"
        )
        keys = ", ".join(
            f"list_transform(json_keys({name}), lambda each: '{name}.' || each)" for name in ("key", "value")
        )
        rows = self.execute(f"SELECT DISTINCT unnest(list_concat({keys})) FROM {read}", [literal_path(str(path))])
        return tuple(name for (name,) in rows)

    def cursor(self) -> "DuckDBPyConnection":
        """Return a cursor, to be closed by the caller."""
        return self._connection.cursor()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _file_type(type_: Any) -> FileType:
    if type_.id not in _NESTED:
        return FileType(name=str(type_))
    children = [(name, _file_type(child)) for name, child in type_.children]
    if type_.id == "list":
        return FileType(name="list", items=children[0][1])
    return FileType(name="struct", fields=tuple(children))


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of DuckDB as ours, without the values that it quotes.

    Raises:
        BadValueError: a value does not fit its type.
        MalformedFileError: a file cannot be read.
        DiskFullError: the disk is full.
    """
    import duckdb  # noqa: PLC0415 -- as above

    try:
        yield
    except duckdb.Error as error:
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> DapError:
    import duckdb  # noqa: PLC0415 -- as above

    text = str(error)
    if raised := _RAISED.match(text):  # the statement, which follows some messages, contains these words too
        return BadValueError(f"A value of column {raised[1].strip()} cannot be converted to its type")
    if isinstance(error, duckdb.ConversionException) or _DOES_NOT_FIT in text:
        return bad_value_error(error)
    first = text.strip().partition("\n")[0]
    if _NO_SPACE.search(text):
        return DiskFullError(f"DuckDB says: {first}", hint="Free some space and run the command again.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return OutputError(f"DuckDB says: {first}", hint=_MORE_MEMORY)
    return MalformedFileError(f"A downloaded file cannot be read: {first}")
