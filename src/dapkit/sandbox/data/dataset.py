"""The synthetic dataset: its tables and schemas, the parts of a query's result, and the bytes of a part.

Nothing is stored. A part is a range of row numbers, and its rows follow from seed, scale, table and time.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from dapkit.sandbox.data import edge_cases, schema_evolution
from dapkit.sandbox.data.catalogue import Catalogue, Kind, Table, spec_tables
from dapkit.sandbox.data.formats import write_format
from dapkit.sandbox.data.json_schema import json_schema
from dapkit.sandbox.data.oddities import TextColumns, rewrite
from dapkit.sandbox.data.population import population
from dapkit.sandbox.data.relations import Relations
from dapkit.sandbox.data.rows import Interval, rows_sql
from dapkit.sandbox.data.text_macros import macros
from dapkit.sandbox.data.timeline import ORIGIN, Range, split
from dapkit.sandbox.data.values import Values

PART_ROWS = 200_000
_JSON_KINDS = frozenset({Kind.ARRAY, Kind.OBJECT, Kind.FREE_OBJECT})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQuery:
    """A query for one table. Times are milliseconds since 1970 in UTC; for a snapshot, `until_ms` is its `at`."""

    namespace: str
    table: str
    format: str
    mode: str = "expanded"
    since_ms: int | None = None
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One object of a result, with ranges of row numbers, and perhaps an oddity."""

    query: DataQuery
    ranges: tuple[Range, ...]
    oddity: str | None = None


class Dataset:
    """Synthetic data of all known tables. The same seed and scale give the same data everywhere.

    Args:
        seed: selects one of many datasets of the same shape.
        scale: how many people and courses there are; 1 is a small college.
        part_rows: the maximum rows per part, counted before rows that did not change are left out.
        catalogue: the tables; by default all known ones and those of `edge`.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        scale: float = 1.0,
        part_rows: int = PART_ROWS,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.seed = seed
        self.scale = scale
        self.catalogue = catalogue or Catalogue((*spec_tables(), *edge_cases.TABLES))
        self._part_rows = part_rows
        self._relations = Relations(self.catalogue, population, scale=scale, seed=seed)
        self._database = _open_database()

    def namespaces(self) -> tuple[str, ...]:
        """Return all namespaces."""
        return self.catalogue.namespaces()

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's tables. Raises KeyError for an unknown namespace."""
        return self.catalogue.tables(namespace)

    def schema(self, namespace: str, table: str, at_ms: int) -> tuple[dict[str, Any], int]:
        """Return a table's JSON Schema at a data time, and its version. Raises KeyError for an unknown table."""
        known = self._table(namespace, table, at_ms)
        version = schema_evolution.version_at(at_ms) if _evolves(known) else known.version
        # Different tables start with different versions, so that a client that mixes them up is noticed.
        return json_schema(known), version + zlib.crc32(known.qualified.encode()) % 4

    def earliest(self, namespace: str, table: str, now_ms: int) -> int:
        """Return the earliest possible start of an increment. Raises KeyError for an unknown table."""
        retention = self._relations.timeline(self.catalogue.table(namespace, table).qualified).retention
        return ORIGIN if retention is None else now_ms - retention

    def parts(self, query: DataQuery) -> tuple[Part, ...]:
        """Return the parts of a result; cheap and always the same. Raises KeyError for an unknown table.

        No rows are computed, so a part of an increment may turn out to be empty. An increment without any candidate
        rows has no parts; the snapshot of an empty table has one empty part.
        """
        table = self.catalogue.table(query.namespace, query.table)
        timeline = self._relations.timeline(table.qualified)
        if query.since_ms is None:
            ranges = timeline.present(query.until_ms)
        else:
            ranges = timeline.changed(query.since_ms, query.until_ms)
        groups = split(ranges, min(self._part_rows, edge_cases.PART_ROWS.get(table.qualified, self._part_rows)))
        if not groups and query.since_ms is None:
            groups = ((),)
        return tuple(Part(query=query, ranges=group) for group in groups)

    def write(self, part: Part, path: Path) -> int:
        """Write one part to a file and return its rows. Blocks; may be called from several threads at once."""
        query = part.query
        table = self._table(query.namespace, query.table, query.until_ms)
        with self._database.cursor() as connection:
            rows = write_format(
                connection,
                self._rows_sql(table, part),
                table,
                format=query.format,
                mode=query.mode,
                incremental=query.since_ms is not None,
                path=path,
            )
        if part.oddity is not None and query.format != "parquet":
            _rewrite(path, part, table)
        return rows

    def rows(self, part: Part) -> list[tuple[Any, ...]]:
        """Return one part's rows as Python values: ts, action, key columns, value columns."""
        table = self._table(part.query.namespace, part.query.table, part.query.until_ms)
        with self._database.cursor() as connection:
            return connection.execute(self._rows_sql(table, part)).fetchall()

    def _table(self, namespace: str, name: str, at_ms: int) -> Table:
        known = self.catalogue.table(namespace, name)
        return schema_evolution.table_at(at_ms) if _evolves(known) else known

    def _rows_sql(self, table: Table, part: Part) -> str:
        values = Values(table, self.catalogue, self._relations, edge_cases.VALUES)
        interval = Interval(until=part.query.until_ms, since=part.query.since_ms)
        return rows_sql(table, self._relations, values, part.ranges, interval)


def _rewrite(path: Path, part: Part, table: Table) -> None:
    """Give the text of a part its oddity."""
    assert part.oddity is not None
    columns = TextColumns(
        texts=[f"value.{column.name}" for column in table.value if column.kind in (Kind.STRING, Kind.TRUNCATABLE)],
        json=[f"value.{column.name}" for column in table.value if column.kind in _JSON_KINDS],
    )
    text = rewrite(gzip.decompress(path.read_bytes()), part.oddity, part.query.format, columns)
    path.write_bytes(b"" if part.oddity == "zero-bytes" else gzip.compress(text, 1, mtime=0))


def _evolves(table: Table) -> bool:
    return table.qualified == schema_evolution.EVOLVING.qualified


def _open_database() -> duckdb.DuckDBPyConnection:
    """Open a database in memory that contains the text macros and no rows. Each call uses its own cursor."""
    # With one thread per query, the order of rows and so the bytes are always the same. Callers run several queries at
    # once instead. Without a temporary folder, a query that needs too much memory fails instead of filling the disk.
    database = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "1GB", "temp_directory": ""})
    for statement in macros():
        database.execute(statement)
    return database
