"""Creates the files that the benchmarks download. floors.py runs it if they are missing.

    python bench/objects.py FOLDER parquet|jsonl COUNT SIZE

Four files of about SIZE bytes are created; the others are links to them.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb

_COLUMNS = ", ".join(
    [
        *(f"hash(i * 64 + {k}) % 100000 AS n{k}" for k in range(6)),
        *(f"(hash(i * 64 + {k}) % 1000000) / 1000.0 AS d{k}" for k in range(6, 10)),
        *(f"['active', 'deleted', 'available', 'unpublished'][1 + (hash(i * 64 + {k}) % 4)::INT] AS s{k}"
          for k in range(10, 14)),
        *(f"TIMESTAMP '2024-01-01' + INTERVAL ((hash(i * 64 + {k}) % 31536000)::INT) SECOND AS t{k}"
          for k in range(14, 18)),
        *(f"'text ' || (hash(i * 64 + {k}) % 5000) || ' of ' || (hash(i * 128 + {k}) % 90000) AS x{k}"
          for k in range(18, 23)),
    ]
)  # fmt: skip


def _rows(number: int, count: int) -> str:
    return f"SELECT i AS id, {_COLUMNS} FROM range({number * 10_000_000}, {number * 10_000_000 + count}) t(i)"


def write_parquet(path: Path, number: int, rows: int) -> None:
    """Write rows of 24 columns as one Parquet file."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({_rows(number, rows)}) TO '{path}' (FORMAT parquet, COMPRESSION snappy)")


def write_jsonl(path: Path, number: int, rows: int) -> None:
    """Write the same rows as one gzip JSONL file."""
    line = "{'id': id} AS key, value, {'ts': '2025-01-01T00:00:00Z'} AS meta"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {line} FROM (SELECT id, value FROM ({_rows(number, rows)}) AS value))"
            f" TO '{path}' (FORMAT json, COMPRESSION gzip)"
        )


WRITERS: dict[str, Callable[[Path, int, int], None]] = {"parquet": write_parquet, "jsonl": write_jsonl}
SUFFIXES = {"parquet": "parquet", "jsonl": "jsonl.gz"}


def make(folder: Path, kind: str, count: int, size: int) -> None:
    """Fill the folder. It gets its name only when it is complete."""
    making = folder.with_name(f".{folder.name}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    paths = [making / f"part-{number:05d}-c000.{SUFFIXES[kind]}" for number in range(count)]
    write = WRITERS[kind]
    sample = max(200, min(20_000, size // 100))
    write(paths[0], 0, sample)
    rows = int(sample * size / paths[0].stat().st_size)
    for number, path in enumerate(paths):
        if number < 4:
            write(path, number, rows)
        else:
            os.link(paths[number % 4], path)
    making.rename(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
