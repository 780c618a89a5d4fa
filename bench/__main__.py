"""Runs all benchmarks one after the other and prints one table; each can also be run alone.

python -m bench
"""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("throughput", "startup", "official", "makespan", "postgres", "mysql", "duck", "flat", "replication")


def main() -> None:
    """Run the benchmarks; everything except the rows of the table goes to standard error."""
    print("| what | reached | peak memory |\n| --- | --- | --- |", flush=True)
    failed = [
        name for name in BENCHMARKS
        if subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")], check=False).returncode
    ]  # fmt: skip
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
