r"""Loading and changing a wide table in DuckDB, compared with DuckDB alone reading the same files.

    python bench/duck.py

The reference for a load is an INSERT of what `read_csv` returns for the same files, with the types of the table and
without decoding escapes. DAPKIT_BENCH_ROWS sets the number of rows.
"""

import sys
from pathlib import Path

from dapkit.decode.tsv import Header, read_header
from dapkit.decode.tsv_sql import read_tsv
from dapkit.model import Table
from dapkit.targets.duckdb.dialect import DuckDbDialect
from dapkit.targets.sql.dialect import listed
from databases import CHANGES, ROUNDS, ROWS, ours, prepare, wide_files
from floors import FOLDER, Usage, alternately, measure, row
from load_wide import table_of

DIALECT = DuckDbDialect()
_RUN = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(open(sys.argv[2]).read())"


def _by_hand(verb: str, file: Path, folder: Path) -> Usage:
    table = table_of(folder, "by_hand")
    script = FOLDER / "floor.sql"
    script.write_text(_load(table, folder) if verb == "load" else _change(table, folder))
    return measure([sys.executable, "-c", _RUN, str(file), str(script)])


def _typed(table: Table, names: Header, paths: list[Path]) -> str:
    """Return the call of `read_csv` with the types of the table."""
    function = read_tsv([str(path) for path in paths], names)
    for name, source in zip(names.names, names.columns, strict=True):
        column = table.column(source) if source else None
        type_ = DIALECT.type_of(table, column) if column else "TIMESTAMP" if name == "meta.ts" else "VARCHAR"
        function = function.replace(f"'{name}': 'VARCHAR'", f"'{name}': '{type_}'", 1)
    return function


def _insert(table: Table, names: Header, source: str, where: str = "") -> str:
    columns = listed(table.columns)
    values = ", ".join(f'"{names.source(column.name)}"' for column in table.columns)
    return f"INSERT INTO {DIALECT.facts.full_name(table)} ({columns}) SELECT {values} FROM {source}{where};\n"


def _load(table: Table, folder: Path) -> str:
    parts = sorted(folder.glob("part-*.gz"))
    names = read_header(parts[0])
    create = ";\n".join(DIALECT.create_table(table))
    drop = f"CREATE SCHEMA IF NOT EXISTS canvas;\nDROP TABLE IF EXISTS {DIALECT.facts.full_name(table)};\n"
    return f"{drop}BEGIN;\n{create};\n{_insert(table, names, _typed(table, names, parts))}COMMIT;\n"


def _change(table: Table, folder: Path) -> str:
    changes = folder / "changes.tsv.gz"
    names = read_header(changes)
    stage = f"CREATE TEMPORARY TABLE staged AS SELECT * FROM {_typed(table, names, [changes])};\n"
    delete = f'DELETE FROM {DIALECT.facts.full_name(table)} AS target USING staged WHERE target.id = staged."key.id";\n'
    insert = _insert(table, names, "staged", " WHERE \"meta.action\" <> 'D'")
    return f"BEGIN;\n{stage}{delete}{insert}COMMIT;\n"


def main() -> None:
    """Measure a load and its changes, and print a row of the table for each."""
    folder, file, reference_file = wide_files(), FOLDER / "ours.duckdb", FOLDER / "by_hand.duckdb"
    for path in (file, reference_file):
        path.unlink(missing_ok=True)
    prepare(f"duckdb:{file}")
    _compare("load", f"{ROWS:,} rows loaded", file, reference_file, folder)
    _compare("change", f"{CHANGES:,} changes", file, reference_file, folder)


def _compare(verb: str, what: str, file: Path, reference_file: Path, folder: Path) -> None:
    dapkit, reference = alternately(
        ROUNDS, lambda: ours(verb, f"duckdb:{file}", folder), lambda: _by_hand(verb, reference_file, folder)
    )
    print(f"{verb}: ours {dapkit}, DuckDB alone {reference}", file=sys.stderr)
    print(
        row(f"DuckDB, {what}, against DuckDB alone", {"wall": (dapkit.wall / reference.wall, 1.3)}, dapkit.peak),
        flush=True,
    )


if __name__ == "__main__":
    main()
