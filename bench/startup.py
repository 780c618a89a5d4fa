"""`dap --help` and `from dapkit import Client` against the bare interpreter: milliseconds of CPU more, in one run.

    python bench/startup.py

They run in turn, many times, after a first round that leaves the bytecode compiled; medians are compared.
"""

import os
import sys

import floors

ROUNDS = int(os.environ.get("DAPKIT_BENCH_ROUNDS", "20"))
LIMIT, IMPORT_LIMIT = 100.0, 120.0


def main() -> None:
    """Print the rows."""
    help_page, library, bare = floors.alternately(
        ROUNDS,
        lambda: floors.measure([*floors.DAP, "--help"]),
        lambda: floors.measure([sys.executable, "-c", "from dapkit import Client"]),
        lambda: floors.measure([sys.executable, "-c", "pass"]),
    )
    more = (help_page.cpu - bare.cpu) * 1000
    print(f"  dap --help {help_page.cpu * 1000:.0f} ms, python -c pass {bare.cpu * 1000:.0f} ms", file=sys.stderr)
    what, reached = "`dap --help`, to the bare interpreter", f"CPU {more:.0f} ms more of {LIMIT:.0f} ms"
    print(f"| {what} | {reached} | {help_page.peak / 1e6:.0f} MB |")
    more = (library.cpu - bare.cpu) * 1000
    what, reached = (
        "`from dapkit import Client`, to the bare interpreter",
        f"CPU {more:.0f} ms more of {IMPORT_LIMIT:.0f} ms",
    )
    print(f"| {what} | {reached} | {library.peak / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
