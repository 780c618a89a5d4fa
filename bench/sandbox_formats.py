"""How fast the sandbox writes rows as objects: thousand rows per second in each format, with one thread.

    python bench/sandbox_formats.py [rows]

The rows are in a table in memory, so that only writing is measured. They have 24 columns (identifiers, times, enums,
short texts of which some need escaping, and one body of several hundred characters); a thirtieth of them is deleted.
"""

import gzip
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from dapkit.sandbox.data.catalogue import Column, Kind, Table
from dapkit.sandbox.data.formats import FORMATS, write_format

_WORDS = ("essay", "course", "term", "grade", "quiz", "é", "ñ", "中文", "<p>see</p>", "&amp;", "reading", "week")
_TEXT = (
    "list_value("
    + ", ".join(f"'{word}'" for word in _WORDS)
    + f")[1 + (hash(i * 64 + {{salt}}) % {len(_WORDS)})::INTEGER]"
)


def _words(count: int, salt: int) -> str:
    """Return SQL for a text of `count` words that differs from row to row."""
    return " || ' ' || ".join(_TEXT.format(salt=salt + n) for n in range(count))


def _columns() -> list[tuple[Column, str]]:
    """Return the value columns, each with SQL that computes it from the row number i."""
    instant = "TIMESTAMP '2021-08-01' + to_milliseconds((hash(i * 64 + {}) % 100000000000)::BIGINT)"
    nasty = f"CASE WHEN i % 50 = 0 THEN 'a\"b\n\t\\' || i ELSE {_words(3, 8)} END"
    made = [
        *((Kind.INT64, f"(hash(i * 64 + {n}) % 1000000)::BIGINT") for n in range(6)),
        *((Kind.DATETIME, instant.format(n)) for n in range(40, 44)),
        *((Kind.ENUM, f"['active', 'deleted', 'completed'][1 + (i + {n}) % 3]") for n in range(3)),
        *((Kind.STRING, f"CASE WHEN i % 5 > 0 THEN {_words(3, n)} END") for n in (11, 17, 23)),
        (Kind.STRING, nasty),
        *((Kind.BOOLEAN, f"i % {n} = 0") for n in (2, 3, 5)),
        (Kind.FLOAT64, "(hash(i) % 10000)::DOUBLE / 7"),
        (Kind.TRUNCATABLE, _words(50, 100)),
    ]
    return [(Column(name=f"column_{n}", kind=kind, nullable=True), sql) for n, (kind, sql) in enumerate(made)]


def main(rows: int) -> None:
    columns = _columns()
    table = Table(
        namespace="bench",
        name="rows",
        key=(Column(name="id", kind=Kind.INT64),),
        value=tuple(column for column, _ in columns),
    )
    filled = ", ".join(f"{sql} AS v{n}" for n, (_, sql) in enumerate(columns))
    print(f"{rows:,} rows, {len(columns) + 3} columns; thousand rows per second, one thread")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            "CREATE TABLE made AS SELECT TIMESTAMP '2024-01-01' + to_milliseconds(i) AS ts,"
            f" CASE WHEN i % 30 = 0 THEN 'D' ELSE 'U' END AS action, i AS k0, {filled} FROM range({rows}) AS r(i)"
        )
        for form in FORMATS:
            path = Path(folder) / form
            best = min(_measure(connection, table, form, path) for _ in range(3))
            plain = path.stat().st_size if form == "parquet" else len(gzip.decompress(path.read_bytes()))
            sizes = f"{path.stat().st_size / 1e6:6.1f} MB of {plain / 1e6:6.1f} MB"
            print(f"{form:8} {rows / best / 1000:6.0f}   {best:5.2f} s   {sizes}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, {os.cpu_count()} cores")


def _measure(connection: duckdb.DuckDBPyConnection, table: Table, form: str, path: Path) -> float:
    start = time.perf_counter()
    write_format(connection, "FROM made", table, format=form, mode="expanded", incremental=True, path=path)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
