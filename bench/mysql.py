r"""Loading and changing a wide table in MariaDB, compared with the server's own client doing the same.

    python bench/mysql.py

The reference for a load is LOAD DATA LOCAL of the same uncompressed rows into the table with its key, in one
transaction, with the necessary conversions. The private server has its default settings, but a larger buffer pool and
log, and no flushes, whose cost depends on the disk. DAPKIT_BENCH_ROWS sets the number of rows.
"""

import sys
from pathlib import Path

from dapkit.decode.tsv import read_header
from dapkit.model import Table
from dapkit.targets.base import Merge
from dapkit.targets.mysql.dialect import STAGING, MySqlDialect
from dapkit.targets.mysql.load_data import load_data
from dapkit.targets.sql.merge import delete_marked, merge_rows
from databases import CHANGES, ROUNDS, ROWS, ours, prepare, wide_files
from floors import FOLDER, ROOT, Usage, alternately, measure, row
from load_wide import table_of

sys.path.insert(0, str(ROOT))
from tests.support.mariadb_server import mariadb_server
from tests.support.mysql_server import MySqlServer

DIALECT = MySqlDialect(exact="utf8mb4_nopad_bin")
SETTINGS = "SET sql_mode = 'ANSI_QUOTES,NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES', time_zone = '+00:00';\nBEGIN;\n"


def _by_hand(verb: str, server: MySqlServer, database: str, folder: Path) -> Usage:
    table = table_of(folder, "by_hand")
    path = FOLDER / "floor.sql"
    path.write_text(SETTINGS + (_load(table, folder) if verb == "load" else _change(table, folder)) + "COMMIT;\n")
    if verb == "load":
        server.execute(f"USE {database}", "DROP TABLE IF EXISTS canvas__by_hand")
        server.execute("SET sql_mode = 'ANSI_QUOTES'", f"USE {database}", *DIALECT.create_table(table))
    words = ["mariadb", "--no-defaults", "--local-infile=1", f"--host={server.host}", f"--port={server.port}"]
    words += [f"--user={server.user}", f"--password={server.password}", database, "--execute", f"source {path}"]
    return measure(words)


def _from_file(table: Table, part: Path, into: str, *, meta: bool) -> str:
    names = read_header(part.with_suffix(".tsv.gz"))
    return load_data(DIALECT, table, names, into, meta=meta).replace("'dapkit'", f"'{part}'", 1) + ";\n"


def _load(table: Table, folder: Path) -> str:
    parts = sorted(folder.glob("part-*.tsv"))
    return "".join(_from_file(table, part, DIALECT.facts.full_name(table), meta=False) for part in parts)


def _change(table: Table, folder: Path) -> str:
    statements = [*DIALECT.create_staging(table), delete_marked(DIALECT, table, STAGING)]
    statements[2:2] = [_from_file(table, folder / "changes.tsv", STAGING, meta=True).rstrip(";\n")]
    return ";\n".join([*statements, *merge_rows(DIALECT, Merge.ON_DUPLICATE_KEY, table, STAGING, action=True)]) + ";\n"


def main() -> None:
    """Measure a load and its changes, and print a row of the table for each."""
    folder = wide_files()
    options = ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--local-infile=1")
    with mariadb_server(*options) as server, server.database() as url:
        database = url.rpartition("/")[2]
        prepare(url)
        _compare("load", 1.2, server, database, folder)
        _compare("change", 1.5, server, database, folder)


def _compare(verb: str, limit: float, server: MySqlServer, database: str, folder: Path) -> None:
    url = f"{server.url}/{database}"
    dapkit, reference = alternately(
        ROUNDS, lambda: ours(verb, url, folder), lambda: _by_hand(verb, server, database, folder)
    )
    print(f"{verb}: ours {dapkit}, mariadb {reference}", file=sys.stderr)
    what = f"{ROWS:,} rows loaded" if verb == "load" else f"{CHANGES:,} changes"
    print(
        row(f"MariaDB, {what}, against mariadb", {"wall": (dapkit.wall / reference.wall, limit)}, dapkit.peak),
        flush=True,
    )


if __name__ == "__main__":
    main()
