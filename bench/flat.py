"""Flat Parquet from the raw files of a wide table, compared with DuckDB alone doing the same read and write.

    python bench/flat.py

2 million rows of 24 columns in 40 objects, from each format. The reference knows the types of the columns; it does not
decode the escapes of TSV, nor check that numbers are exact. DAPKIT_BENCH_ROWS sets the number of rows.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

from dapkit.model import Format
from databases import ROUNDS, ROWS
from floors import FOLDER, alternately, measure, row

WORKER = str(Path(__file__).with_name("flat_wide.py"))
MEMORY = "400MB"
LIMIT, PEAK_LIMIT = 1.15, 600e6


def files() -> Path:
    """Return the folder with the files, creating it if it is missing."""
    folder = FOLDER / "data" / f"flat-wide-{ROWS}"
    if not folder.is_dir():
        subprocess.run([sys.executable, WORKER, "make", str(folder)], check=True)
    return folder


def main() -> None:
    """Print one row for each format."""
    folder, target = files(), FOLDER / "flat.parquet"
    for format_ in (Format.PARQUET, Format.JSONL, Format.CSV, Format.TSV):
        command = [sys.executable, WORKER]
        words = [format_, str(folder), str(target)]
        ours, floor = alternately(
            ROUNDS,
            partial(measure, [*command, "flatten", *words, MEMORY]),
            partial(measure, [*command, "duckdb", *words]),
        )
        figures = {"wall": (ours.wall / floor.wall, LIMIT), "CPU": (ours.cpu / floor.cpu, None)}
        print(row(f"{format_} → flat Parquet, {ROWS:,} rows", figures, ours.peak), flush=True)


if __name__ == "__main__":
    main()
