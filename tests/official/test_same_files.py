"""Both commands, run with the same arguments on one sandbox, write the same files to the same paths.

The environment variable DAPKIT_OFFICIAL names the official `dap` command; without it these tests are skipped.
"""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process

OFFICIAL = os.environ.get("DAPKIT_OFFICIAL", "")
OURS = ("DAP_PACE", "DAP_READ_TIMEOUT", "DAP_RETRY_TIMEOUT")  # variables that the official client does not know

pytestmark = [
    pytest.mark.official,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not OFFICIAL, reason="DAPKIT_OFFICIAL does not name the official client's dap command"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), part_rows=100) as running:
        yield running


def both(sandbox: SandboxProcess, folder: Path, line: str) -> tuple[Path, Path]:
    """Run a command line with both commands, each in its own folder; return the folders."""
    theirs, ours = folder / "theirs", folder / "ours"
    for path in (theirs, ours):
        path.mkdir()
    arguments = ["--non-interactive", "--no-tracking", *line.split()[1:]]
    environ = {name: value for name, value in sandbox.environ.items() if name not in OURS}
    official = subprocess.run(
        [OFFICIAL, *arguments], cwd=theirs, env=environ, capture_output=True, text=True, check=False
    )
    assert official.returncode == 0, official.stderr
    mine = sandbox.dap(*arguments, cwd=ours)
    assert mine.returncode == 0, mine.stderr
    for path, done in ((theirs, official), (ours, mine)):
        (path / "stdout").write_text(done.stdout)
    return theirs, ours


@pytest.mark.parametrize("query_format", ["", "--format csv", "--format tsv", "--format parquet"])
def test_snapshots(sandbox: SandboxProcess, tmp_path: Path, query_format: str) -> None:
    line = f"dap snapshot --namespace canvas --table courses,users,wikis {query_format}"
    theirs, ours = both(sandbox, tmp_path, line)
    assert files(theirs / "downloads") == files(ours / "downloads") != {}


def test_increments(sandbox: SandboxProcess, tmp_path: Path) -> None:
    since, until = (f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (20, 10))
    line = f"dap incremental --namespace canvas --table users,courses --since {since} --until {until}"
    theirs, ours = both(sandbox, tmp_path, line)
    assert files(theirs / "downloads") == files(ours / "downloads") != {}


def test_increments_in_local_time(sandbox: SandboxProcess, tmp_path: Path) -> None:
    local = sandbox.with_environ(TZ="FIVE+5")
    since, until = (f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%S}" for days in (21, 11))
    line = f"dap incremental --namespace canvas --table users,courses --since {since} --until {until}"
    theirs, ours = both(local, tmp_path, line)
    assert files(theirs / "downloads") == files(ours / "downloads") != {}


def test_schemas(sandbox: SandboxProcess, tmp_path: Path) -> None:
    theirs, ours = both(sandbox, tmp_path, "dap schema --namespace canvas --table all --output-directory schemas")
    names = [path.name for path in sorted((theirs / "schemas").iterdir())]
    assert names == [path.name for path in sorted((ours / "schemas").iterdir())]
    for name in names:
        assert (theirs / "schemas" / name).read_bytes() == (ours / "schemas" / name).read_bytes()


def test_lists(sandbox: SandboxProcess, tmp_path: Path) -> None:
    theirs, ours = both(sandbox, tmp_path, "dap list --namespace canvas")
    lists = [sorted((path / "stdout").read_text().split()) for path in (theirs, ours)]
    assert lists[0] == lists[1] != []
