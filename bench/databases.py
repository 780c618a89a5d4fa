"""Shared by the benchmarks of databases: the files of a wide table, and a measured command that loads them."""

import os
import subprocess
import sys
from pathlib import Path

from dapkit.targets.registry import target_of
from floors import FOLDER, Usage, measure

ROWS = int(os.environ.get("DAPKIT_BENCH_ROWS", "2000000"))
CHANGES = ROWS // 40
ROUNDS = int(os.environ.get("DAPKIT_BENCH_ROUNDS", "3"))
_HERE = Path(__file__).parent


def wide_files() -> Path:
    """Return the folder with the files of the wide table, creating it if it is missing."""
    folder = FOLDER / "data" / f"wide-{ROWS}-{CHANGES}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, _HERE / "wide_table.py", folder, str(ROWS), str(CHANGES)], check=True)
    return folder


def prepare(url: str) -> None:
    """Create the state tables."""
    session = target_of(url).open()
    session.prepare("canvas", sandbox=False)
    session.close()


def ours(verb: str, url: str, folder: Path) -> Usage:
    """Load the table, replacing an earlier one, or change it; return what that used."""
    if verb == "load":
        session = target_of(url).open()
        session.drop("canvas", "ours")
        session.close()
    rows = ROWS if verb == "load" else CHANGES
    return measure([sys.executable, str(_HERE / "load_wide.py"), verb, url, str(folder), str(rows)])
