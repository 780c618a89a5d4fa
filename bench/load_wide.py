"""Loads or changes the wide table with dapkit, as a process that the benchmarks of databases measure.

python bench/load_wide.py load|change URL FOLDER ROWS
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from dapkit.model import Table, VersionedSchema, utc_time
from dapkit.schema import read_table
from dapkit.targets.base import DataFiles, Load
from dapkit.targets.registry import target_of


def table_of(folder: Path, name: str) -> Table:
    """Return the wide table under a name."""
    document = json.loads((folder / "schema.json").read_text())
    return read_table(VersionedSchema(namespace="canvas", table=name, version=1, document=document))


def act(verb: str, url: str, folder: Path, rows: int) -> None:
    """Load the table, or change it."""
    session = target_of(url).open()
    table = table_of(folder, "ours")
    if verb == "load":
        files = DataFiles(paths=tuple(sorted(folder.glob("part-*.gz"))), rows=rows)
        session.initial_load(Load(table=table, files=files, watermark=utc_time("2025-01-01T00:00:00Z")))
    else:
        files = DataFiles(paths=(folder / "changes.tsv.gz",), rows=rows)
        session.apply_increment(
            Load(table=table, files=files, watermark=datetime.now(UTC)), session.sync_states("canvas")["ours"]
        )
    session.close()


if __name__ == "__main__":
    act(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
