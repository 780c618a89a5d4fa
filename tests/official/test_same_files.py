"""Both commands, asked the same of one sandbox, leave the same files in the same places.

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
    """Run one command line with both commands, each in a folder of its own; return the folders."""
    theirs, ours = folder / "theirs", folder / "ours"
    for place in (theirs, ours):
        place.mkdir()
    words = ["--non-interactive", "--no-tracking", *line.split()[1:]]
    environ = {name: value for name, value in sandbox.environ.items() if not name.startswith("DAP_PA")}
    official = subprocess.run([OFFICIAL, *words], cwd=theirs, env=environ, capture_output=True, text=True, check=False)
    assert official.returncode == 0, official.stderr
    mine = sandbox.dap(*words, cwd=ours)
    assert mine.returncode == 0, mine.stderr
    for place, done in ((theirs, official), (ours, mine)):
        (place / "stdout").write_text(done.stdout)
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
    told = [sorted((place / "stdout").read_text().split()) for place in (theirs, ours)]
    assert told[0] == told[1] != []
