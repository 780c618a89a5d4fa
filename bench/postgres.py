r"""Loading and changing a wide table in PostgreSQL, compared with psql doing the same.

    python bench/postgres.py

The reference for a load is `\copy` of the same uncompressed rows and ADD PRIMARY KEY, plus the CPU time of gunzip. The
private server has its default settings, but no fsync, whose cost depends on the disk. DAPKIT_BENCH_ROWS sets the number
of rows.
"""

import sys
from pathlib import Path

from dapkit.model import Table
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.sql.dialect import identifier, listed
from databases import CHANGES, ROUNDS, ROWS, ours, prepare, wide_files
from floors import FOLDER, ROOT, Usage, alternately, measure, row
from load_wide import table_of

sys.path.insert(0, str(ROOT))
from tests.support.postgres_server import named_or_private_server


def _psql(url: str, script: str) -> Usage:
    path = FOLDER / "floor.sql"
    path.write_text("\\set ON_ERROR_STOP on\nBEGIN;\n" + script + "COMMIT;\n")
    return measure(["psql", "--no-psqlrc", "--quiet", "--file", str(path), url])


def _by_hand(verb: str, url: str, folder: Path) -> Usage:
    dialect, table = PostgresDialect(), table_of(folder, "by_hand")
    if verb == "change":
        return _psql(url, _change_by_hand(dialect, table, folder))
    _psql(url, 'DROP TABLE IF EXISTS canvas.by_hand; DROP TYPE IF EXISTS canvas."by_hand__workflow_state";\n')
    create, *_ = [sql for sql in dialect.create_table(table) if sql.startswith("CREATE TABLE")]
    types = [sql for sql in dialect.create_table(table) if sql.startswith("CREATE TYPE")]
    columns = ", ".join(['"meta.ts"', *(identifier(column.name) for column in table.columns)])
    copies = "".join(f"\\copy canvas.by_hand ({columns}) FROM '{path}'\n" for path in sorted(folder.glob("part-*.tsv")))
    script = f'{";".join(types)};{create};ALTER TABLE canvas.by_hand ADD COLUMN "meta.ts" timestamp;\n{copies}'
    return _psql(url, script + "ALTER TABLE canvas.by_hand ADD PRIMARY KEY (id);\n")


def _change_by_hand(dialect: PostgresDialect, table: Table, folder: Path) -> str:
    columns = listed(table.columns)
    typed = ", ".join(f"{identifier(c.name)} {dialect.type_of(table, c)}" for c in table.columns)
    updates = ", ".join(f"{identifier(c.name)} = excluded.{identifier(c.name)}" for c in table.value)
    return (
        f"CREATE TEMPORARY TABLE staging (ts timestamp, action text, {typed}) ON COMMIT DROP;\n"
        f"\\copy staging FROM '{folder / 'changes.tsv'}'\n"
        "DELETE FROM canvas.by_hand AS target USING staging WHERE action = 'D' AND target.id = staging.id;\n"
        f"INSERT INTO canvas.by_hand ({columns}) SELECT {columns} FROM staging WHERE action <> 'D'"
        f" ON CONFLICT (id) DO UPDATE SET {updates};\n"
    )


def _gunzip(folder: Path) -> Usage:
    return measure(["sh", "-c", f"gunzip --stdout {folder}/part-*.gz >/dev/null"])


def main() -> None:
    """Measure a load and its changes, and print a row of the table for each."""
    folder = wide_files()
    with named_or_private_server() as server, server.database() as url:
        prepare(url)
        unzip = _gunzip(folder)
        dapkit, reference = alternately(
            ROUNDS, lambda: ours("load", url, folder), lambda: _by_hand("load", url, folder)
        )
        print(f"load: ours {dapkit}, psql {reference}, gunzip {unzip}", file=sys.stderr)
        figures = {"wall": (dapkit.wall / reference.wall, 1.3), "CPU": (dapkit.cpu / (reference.cpu + unzip.cpu), 0.8)}
        print(row(f"PostgreSQL, {ROWS:,} rows loaded, against psql", figures, dapkit.peak), flush=True)
        dapkit, reference = alternately(
            ROUNDS, lambda: ours("change", url, folder), lambda: _by_hand("change", url, folder)
        )
        print(f"change: ours {dapkit}, psql {reference}", file=sys.stderr)
        figures = {"wall": (dapkit.wall / reference.wall, 1.5)}
        print(row(f"PostgreSQL, {CHANGES:,} changes, against psql", figures, dapkit.peak), flush=True)


if __name__ == "__main__":
    main()
