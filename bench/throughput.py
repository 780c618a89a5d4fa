"""`dap snapshot` compared with curl and checking tools: ratios of wall time and CPU, and peak memory.

    python bench/throughput.py [parquet|jsonl|small|small-checked ...]      (default: all)

For each row, dapkit and the tools process the same files over TLS on loopback, in turn and several times; the medians
are compared.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import floors

ROUNDS = int(os.environ.get("DAPKIT_BENCH_ROUNDS", "5"))


@dataclass(frozen=True, slots=True)
class Case:
    """Files to download, the tools to compare with besides curl, and the target ratios."""

    what: str
    objects: Callable[[], floors.Objects]
    tools: tuple[Callable[[floors.Objects], floors.Usage], ...]
    wall: float | None
    cpu: float | None


CASES = {
    "parquet": Case(
        "1 GB in 100 Parquet objects, compared with curl + sha256sum",
        partial(floors.objects, "parquet", 100, 10_000_000),
        (floors.sha256sum,),
        1.4,
        1.5,
    ),
    "jsonl": Case(
        "500 MB of gzip JSONL in 40 objects, compared with curl + igzip -t + sha256sum",
        partial(floors.objects, "jsonl", 40, 12_500_000),
        (floors.igzip_test, floors.sha256sum),
        None,
        1.25,
    ),
    "small": Case(
        "2,000 objects of 50 KB, compared with curl",
        partial(floors.objects, "jsonl", 2000, 50_000),
        (),
        None,
        4.0,
    ),
    "small-checked": Case(
        "2,000 objects of 50 KB, compared with curl + igzip -t + sha256sum",
        partial(floors.objects, "jsonl", 2000, 50_000),
        (floors.igzip_test, floors.sha256sum),
        None,
        None,
    ),
}


def main(names: list[str]) -> None:
    """Measure the cases and print a row for each."""
    with floors.store() as store:
        for name in names or list(CASES):
            print(compare(CASES[name], store), flush=True)
    shutil.rmtree(floors.FOLDER / "out")


def compare(case: Case, store: floors.Store) -> str:
    """Return the row of one case."""
    objects = case.objects()
    ours, curl, *tools = floors.alternately(
        ROUNDS,
        lambda: floors.snapshot(objects, store),
        lambda: floors.curl(objects, store),
        *(partial(tool, objects) for tool in case.tools),
    )
    floor = sum(tools, start=curl)
    print(f"  dap {shown(ours)}; curl {shown(curl)}; " + "; ".join(map(shown, tools)), file=sys.stderr)
    figures = {"CPU": (ours.cpu / floor.cpu, case.cpu), "wall": (ours.wall / floor.wall, case.wall)}
    return floors.row(case.what, figures, ours.peak)


def shown(usage: floors.Usage) -> str:
    """Return the figures in seconds and MB."""
    return f"wall {usage.wall:.2f} cpu {usage.cpu:.2f} peak {usage.peak / 1e6:.0f}"


if __name__ == "__main__":
    main(sys.argv[1:])
