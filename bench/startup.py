"""`dap --help` against the bare interpreter: milliseconds of CPU more, in one run.

    python bench/startup.py

Both run in turn, many times, after a first round that leaves the bytecode compiled; medians are compared.
"""

import os
import sys

import floors

ROUNDS = int(os.environ.get("DAPKIT_BENCH_ROUNDS", "20"))
LIMIT = 100.0


def main() -> None:
    """Print the row."""
    help_page, bare = floors.alternately(
        ROUNDS,
        lambda: floors.measure([*floors.DAP, "--help"]),
        lambda: floors.measure([sys.executable, "-c", "pass"]),
    )
    more = (help_page.cpu - bare.cpu) * 1000
    print(f"  dap --help {help_page.cpu * 1000:.0f} ms, python -c pass {bare.cpu * 1000:.0f} ms", file=sys.stderr)
    what, reached = "`dap --help`, to the bare interpreter", f"CPU {more:.0f} ms more of {LIMIT:.0f} ms"
    print(f"| {what} | {reached} | {help_page.peak / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
