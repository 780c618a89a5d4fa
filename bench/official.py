"""dapkit compared with the official client: a snapshot of 20 small tables of the sandbox, in wall clock and CPU.

    python bench/official.py

It runs with jobs of two seconds, which the target refers to, and with jobs that complete at once. DAPKIT_OFFICIAL names
the official client's `dap`; without it, the client is installed below the benchmark folder. Each run has a separate
sandbox, since a service returns the same job for an equal query.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator
from functools import partial

import floors

ROUNDS = int(os.environ.get("DAPKIT_BENCH_ROUNDS", "3"))
PACKAGE = "instructure-dap-client==2.3.1"
TABLES = 20
SCALE = 0.05
FASTER = 10.0


def official() -> str:
    """Return the official client's command; install it if it is missing."""
    named = os.environ.get("DAPKIT_OFFICIAL")
    if named:
        return named
    folder = floors.FOLDER / "official"
    command = folder / "bin" / "dap"
    if not command.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", PACKAGE], check=True)
    return str(command)


@contextlib.contextmanager
def sandbox(job_seconds: float, scale: float = SCALE) -> Iterator[dict[str, str]]:
    """Run a sandbox; yield the environment variables that make a command use it, as the sandbox prints them."""
    command = [*floors.DAP, "sandbox", "--scale", str(scale), "--job-seconds", str(job_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        env: dict[str, str] = {}
        while "DAP_PACE" not in env:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the sandbox did not start")
            for word in shlex.split(line):
                name, equals, value = word.partition("=")
                if equals:
                    env[name] = value
        yield env
    finally:
        process.terminate()
        process.wait()


def tables() -> str:
    """Return the names of the tables to download, separated by commas."""
    with sandbox(0) as env:
        command = [*floors.DAP, "list", "--namespace", "canvas"]
        names = subprocess.run(
            command, env={**os.environ, **env}, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ).stdout.split()
    return ",".join(names[:TABLES])


def snapshot(command: list[str], names: str, job_seconds: float) -> floors.Usage:
    """Take the snapshot with one of the two commands."""
    with floors.output() as folder, sandbox(job_seconds) as env:
        options = ["snapshot", "--namespace", "canvas", "--table", names, "--output-directory", str(folder)]
        usage = floors.measure([*command, "--non-interactive", "--no-tracking", *options], env=env)
        jobs = len(list(folder.glob("job_*")))
        if jobs != TABLES:
            raise SystemExit(f"{command[0]} downloaded {jobs} of {TABLES} tables")
        return usage


def main() -> None:
    """Print a row for each kind of job."""
    theirs, names = official(), tables()
    for job_seconds in (2.0, 0.0):
        ours, them = floors.alternately(
            ROUNDS,
            partial(snapshot, floors.DAP, names, job_seconds),
            partial(snapshot, [theirs], names, job_seconds),
        )
        print(f"  ours {ours}; the official client {them}", file=sys.stderr)
        kind = f"jobs of {job_seconds:.0f} s (at least {FASTER:.0f}x, less CPU)" if job_seconds else "instant jobs"
        faster, cpu = them.wall / ours.wall, ours.cpu / them.cpu
        what = f"{TABLES} small tables, {kind}, to the official client"
        print(f"| {what} | {faster:.1f}x as fast · CPU {cpu:.2f}x | {ours.peak / 1e6:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
