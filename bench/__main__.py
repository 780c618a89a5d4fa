"""Every bench, one after the other, as one table; each can be run by itself as well.

python -m bench
"""

import subprocess
import sys
from pathlib import Path

BENCHES = ("throughput", "startup", "official", "makespan", "postgres", "mysql", "duck", "replication")


def main() -> None:
    """Run the benches; what they say besides their rows goes to standard error."""
    print("| what | reached | peak memory |\n| --- | --- | --- |", flush=True)
    failed = [
        name for name in BENCHES
        if subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")], check=False).returncode
    ]  # fmt: skip
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
