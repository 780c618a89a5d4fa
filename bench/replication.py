"""`dap initdb` and `dap syncdb` against the official client's, on one PostgreSQL server: wall clock and client CPU.

    python bench/replication.py

Twenty small tables with jobs of two seconds, and one table of some 400,000 rows, whose files the sandbox has made
before a client asks for them, as the service has. Each run has a sandbox and a database of its own. DAPKIT_OFFICIAL
names the official client's `dap`; it needs its extra for PostgreSQL.
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
    """Tables of the sandbox at a scale, with jobs that take so long, updated after so many hours."""

    what: str
    tables: str
    scale: float
    job_seconds: float
    hours: float
    made_before: bool = False


def advance(env: Mapping[str, str], hours: float) -> None:
    """Move the sandbox's data clock on."""
    body = json.dumps({"advance_hours": hours}).encode()
    url = f"{env['DAP_API_URL']}/_sandbox/clock"
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST")):
        pass


def make(env: Mapping[str, str], case: Case, since: str | None = None) -> str:
    """Let the sandbox make the files that a client will ask for; return the time that they lead to."""
    verb = ["incremental", "--since", since] if since else ["snapshot"]
    options = ["--namespace", "canvas", "--table", case.tables, "--format", "tsv", "--mode", "condensed"]
    with floors.output() as folder:
        command = [*floors.DAP, "--quiet", *verb, *options, "--json", "--output-directory", str(folder)]
        said = subprocess.run(command, env={**os.environ, **env}, check=True, stdout=subprocess.PIPE).stdout
    (table,) = json.loads(said)["tables"]
    return str(table["until" if since else "at"])


def run(command: list[str], case: Case, server: PostgresServer, used: dict[str, list[floors.Usage]]) -> floors.Usage:
    """Initialise, let time pass, and update; return the sum, and keep each in `used`."""
    with ExitStack() as stack:
        url = stack.enter_context(server.database())
        env = stack.enter_context(official.sandbox(case.job_seconds, case.scale))
        names = ["--namespace", "canvas", "--table", case.tables, "--connection-string", url]
        words = [*command, "--non-interactive", "--no-tracking"]
        since = make(env, case) if case.made_before else None
        first = floors.measure([*words, "initdb", *names], env=env)
        advance(env, case.hours)
        if since:
            make(env, case, since)
        second = floors.measure([*words, "syncdb", *names], env=env)
    used.setdefault("initdb", []).append(first)
    used.setdefault("syncdb", []).append(second)
    return first + second


def main() -> None:
    """Print a row for each command and case."""
    theirs = official.official()
    cases = (
        Case("20 tables, jobs of 2 s", official.tables(), official.SCALE, 2.0, 400.0),
        Case("a table of 400,000 rows", "submissions", 8.0, 0.0, 4000.0, made_before=True),
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
