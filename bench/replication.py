"""`dap initdb` and `dap syncdb` compared with the official client's on a PostgreSQL server: wall clock and client CPU.

    python bench/replication.py

Twenty small tables with jobs of two seconds, and one table of about 400,000 rows, whose files the sandbox creates
before a client requests them, as the service does. Each run has a separate sandbox and database. DAPKIT_OFFICIAL names
the official client's `dap`, installed with its extra for PostgreSQL.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import floors
import official

sys.path.insert(0, str(floors.ROOT))
from tests.support.postgres_server import PostgresServer, named_or_private_server

ROUNDS = int(os.environ.get("DAPKIT_BENCH_ROUNDS", "3"))
WALL, CPU = 10.0, 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """Tables of a sandbox, its scale, the duration of its jobs, and the hours until the update."""

    what: str
    tables: str
    scale: float
    job_seconds: float
    hours: float
    created_before: bool = False


def advance(env: Mapping[str, str], hours: float) -> None:
    """Advance the sandbox's data clock."""
    body = json.dumps({"advance_hours": hours}).encode()
    url = f"{env['DAP_API_URL']}/_sandbox/clock"
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST")):
        pass


def create_files(env: Mapping[str, str], case: Case, since: str | None = None) -> str:
    """Let the sandbox create the files that a client will request; return the time of their data."""
    verb = ["incremental", "--since", since] if since else ["snapshot"]
    options = ["--namespace", "canvas", "--table", case.tables, "--format", "tsv", "--mode", "condensed"]
    with floors.output() as folder:
        command = [*floors.DAP, "--quiet", *verb, *options, "--json", "--output-directory", str(folder)]
        output = subprocess.run(command, env={**os.environ, **env}, check=True, stdout=subprocess.PIPE).stdout
    (table,) = json.loads(output)["tables"]
    return str(table["until" if since else "at"])


def run(command: list[str], case: Case, server: PostgresServer, used: dict[str, list[floors.Usage]]) -> floors.Usage:
    """Load, advance the time, and update; return the sum, and append each to `used`."""
    with ExitStack() as stack:
        url = stack.enter_context(server.database())
        env = stack.enter_context(official.sandbox(case.job_seconds, case.scale))
        names = ["--namespace", "canvas", "--table", case.tables, "--connection-string", url]
        words = [*command, "--non-interactive", "--no-tracking"]
        since = create_files(env, case) if case.created_before else None
        first = floors.measure([*words, "initdb", *names], env=env)
        advance(env, case.hours)
        if since:
            create_files(env, case, since)
        second = floors.measure([*words, "syncdb", *names], env=env)
    used.setdefault("initdb", []).append(first)
    used.setdefault("syncdb", []).append(second)
    return first + second


def main() -> None:
    """Print a row for each command and case."""
    theirs = official.official()
    cases = (
        Case("20 tables, jobs of 2 s", official.tables(), official.SCALE, 2.0, 400.0),
        Case("a table of 400,000 rows", "submissions", 8.0, 0.0, 4000.0, created_before=True),
    )
    with named_or_private_server() as server:
        for case in cases:
            ours: dict[str, list[floors.Usage]] = {}
            them: dict[str, list[floors.Usage]] = {}
            floors.alternately(
                ROUNDS, partial(run, floors.DAP, case, server, ours), partial(run, [theirs], case, server, them)
            )
            for verb in ours:
                show(verb, case, floors.median(ours[verb][1:]), floors.median(them[verb][1:]))


def show(verb: str, case: Case, ours: floors.Usage, them: floors.Usage) -> None:
    """Print one row."""
    print(f"  {verb}: ours {ours}; the official client {them}", file=sys.stderr)
    figures = f"{them.wall / ours.wall:.1f}x as fast of {WALL:.0f}x · {them.cpu / ours.cpu:.1f}x less CPU of {CPU:.0f}x"
    print(f"| `{verb}`, {case.what}, to the official client | {figures} | {ours.peak / 1e6:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
