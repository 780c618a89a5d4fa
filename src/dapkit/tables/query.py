"""SQL over many tables: a database in memory with a view for each table, which can read nothing else."""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.decode.tsv_sql import LINE_SIZES, literal_path, quote_identifier, text_literal
from dapkit.errors import OutputError, UsageError
from dapkit.model import FlatFormat
from dapkit.tables.engine import Engine, EngineOptions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_ONE_QUERY = "Give exactly one SELECT, EXPLAIN, DESCRIBE, SUMMARIZE or SHOW."


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """A table that can be queried: its namespace and name, a SELECT that returns its rows, and where its files are.

    `folder` is None if they need not be opened again.
    """

    namespace: str
    table: str
    select: str
    folder: Path | None


_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(SELECT|FROM|WITH|VALUES)\b", re.IGNORECASE)
"""With ANALYZE, EXPLAIN executes its statement, which may be one that writes. There are many ways to write that."""

_READERS = {
    FlatFormat.PARQUET: "read_parquet([{files}]{union})",
    # Texts, because guessed types change values: 0042 would become 42, and an empty text null.
    FlatFormat.CSV: "read_csv([{files}]{union}, header = true, all_varchar = true, delim = ',', quote = '\"',"
    " escape = '\"', comment = '', nullstr = '', allow_quoted_nulls = false, strict_mode = true,"
    f" max_line_size = {LINE_SIZES[1]}, buffer_size = {LINE_SIZES[1]})",
    # All rows decide about the types: otherwise a value after the first thousands could be an error.
    FlatFormat.JSONL: "read_json([{files}]{union}, format = 'newline_delimited', sample_size = -1)",
}


def read_flat(format_: FlatFormat, paths: Sequence[Path]) -> str:
    """Return a SELECT of the rows of flat files."""
    listed = ", ".join(text_literal(literal_path(str(path.resolve()))) for path in paths)
    union = ", union_by_name = true" if len(paths) > 1 else ""
    return f"SELECT * FROM {_READERS[format_].format(files=listed, union=union)}"


class TableDatabase:
    """A database in memory with a view for each table. Use it as a context manager.

    Once `seal` has been called, queries can read the files of the tables and no others, and write nothing.

    Args:
        options: what DuckDB may use; `temp_folder` is required, results are written there too.
    """

    def __init__(self, options: EngineOptions) -> None:
        assert options.temp_folder is not None
        self._temp_folder = options.temp_folder
        self._engine = Engine(options)
        self._names: dict[tuple[str, str], None] = {}
        self._folders: set[Path] = {options.temp_folder}
        self._attached = 0

    def __enter__(self) -> "TableDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """The tables, as (namespace, table)."""
        return tuple(self._names)

    def add(self, sources: Iterable[TableSource]) -> None:
        """Create a view for each table that has none yet."""
        for source in sources:
            if (source.namespace, source.table) in self._names:
                continue
            self._names[source.namespace, source.table] = None
            if source.folder is not None:
                self._folders.add(source.folder)
            name = f"{quote_identifier(source.namespace)}.{quote_identifier(source.table)}"
            self._engine.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(source.namespace)}")
            self._engine.execute(f"CREATE VIEW {name} AS {source.select}")

    def attach(self, path: Path) -> None:
        """Add the tables of a DuckDB file. Raises UsageError if it cannot be opened."""
        self._attached += 1
        alias = f"file_{self._attached}"
        with _as_usage_errors():
            self._engine.raw(f"ATTACH {text_literal(str(path))} AS {alias} (READ_ONLY)")
        rows = self._engine.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? AND NOT internal"
            " AND schema_name <> 'instructure_dap' ORDER BY ALL",
            [alias],
        )
        self.add(
            TableSource(
                namespace=schema,
                table=table,
                select=f"SELECT * FROM {alias}.{quote_identifier(schema)}.{quote_identifier(table)}",
                folder=None,  # the file is open already, and the files next to it must not be readable
            )
            for schema, table in rows
        )

    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns, each once."""
        rows = self._engine.execute("SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal ORDER BY ALL")
        return tuple(name for (name,) in rows)

    def seal(self) -> None:
        """Allow only the files of the tables from now on."""
        paths = [str(folder.resolve()) for folder in sorted(self._folders)]
        # DuckDB compares the path as the view has it, in which patterns are escaped, and that of the file.
        allowed = dict.fromkeys(paths + [literal_path(path) for path in paths])
        folders = ", ".join(map(text_literal, allowed))
        for statement in (
            f"SET GLOBAL allowed_directories = [{folders}]",
            "SET GLOBAL enable_external_access = false",
            "SET GLOBAL lock_configuration = true",
        ):
            self._engine.execute(statement)

    @contextmanager
    def query(self, sql: str) -> Iterator["DuckDBPyRelation"]:
        """Yield the result of one query, not executed yet.

        Raises:
            UsageError: it is not exactly one query, or it is wrong.
            OutputError: it needs more memory than it may use.
        """
        with self._engine.cursor() as cursor, _as_usage_errors():
            _require_query([(each.type.name, each.query) for each in cursor.extract_statements(sql)])
            relation = cursor.sql(sql)
            if relation is None:
                raise UsageError("The query returns no rows", hint=_ONE_QUERY)
            yield relation

    def write(self, sql: str, options: str) -> Path:
        """Write the result of one query to a temporary file and return its path. `options` are those of COPY.

        Raises:
            UsageError: as `query`; EXPLAIN, DESCRIBE and SHOW can only be printed.
        """
        path = self._temp_folder / "result"
        with self._engine.cursor() as cursor, _as_usage_errors():
            _require_query([(each.type.name, each.query) for each in cursor.extract_statements(sql)])
            # FROM (…) also rejects what only looks like a SELECT, such as DESCRIBE.
            _execute(cursor, f"COPY (FROM ({_without_end(sql)}\n)) TO {text_literal(str(path))} ({options})")
        return path


def _execute(cursor: "DuckDBPyConnection", sql: str) -> None:
    """Execute a statement that Ctrl-C can stop: DuckDB does not look for it in this call."""
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(cursor.execute, sql)
        try:
            running.result()
        finally:
            while not wait([running], timeout=0.1).done:
                cursor.interrupt()  # repeated, because it has no effect before the statement has begun


def _without_end(sql: str) -> str:
    """Return one query without its semicolon and what follows: only comments can."""
    import duckdb  # noqa: PLC0415 -- slow to import

    text = sql.encode()
    operators = (start for start, kind in duckdb.tokenize(sql) if kind == duckdb.token_type.operator)
    end = next((start for start in operators if text[start:].startswith(b";")), len(text))
    return text[:end].decode()


def _require_query(statements: Sequence[tuple[str, str]]) -> None:
    """PURE: raise UsageError unless there is exactly one statement, which only reads."""
    if len(statements) != 1:
        raise UsageError(f"Expected one query instead of {len(statements)}", hint=_ONE_QUERY)
    ((kind, text),) = statements
    if kind == "EXPLAIN" and not _EXPLAIN.match(text):
        message = "EXPLAIN is allowed for SELECT only, without options and comments before it"
        raise UsageError(message, hint=_ONE_QUERY)
    if kind not in ("SELECT", "EXPLAIN"):
        raise UsageError(f"{kind.replace('_', ' ')} is not allowed", hint=_ONE_QUERY)


@contextmanager
def _as_usage_errors() -> Iterator[None]:
    """Raise DuckDB's complaints about a query as usage errors."""
    import duckdb  # noqa: PLC0415 -- slow to import

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        hint = "Give it more memory with --memory-limit."
        raise OutputError(str(error).partition("\n")[0], hint=hint) from error
    except (duckdb.InterruptException, RuntimeError) as error:
        # DuckDB handles Ctrl-C itself while a query runs, and raises an ordinary error.
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from error
        raise
    except duckdb.Error as error:
        raise UsageError(str(error).strip()) from error
