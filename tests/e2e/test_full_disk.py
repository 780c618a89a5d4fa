"""A disk that is really full: the tests mount their own small file system."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import (
    SandboxProcess,
    assert_files_correct,
    files,
    sandbox_process,
    snapshot_arguments,
)
from tests.support.waiting import wait_until

SIZE = 6 << 20
TABLES = ("submissions", "courses")
BIG = "submissions"  # one object of about 3 MB in Parquet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.skipif(sys.platform != "linux", reason="not tested here: needs Linux's tmpfs"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), scale=0.3, part_rows=200_000) as running:
        yield running.with_environ(DAP_READ_TIMEOUT="20")


@pytest.fixture(scope="module")
def expected(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("expected")
    assert sandbox.dap(*snapshot_arguments(output, "parquet", TABLES)).returncode == 0
    found = files(output)
    assert SIZE // 3 < max(len(content) for content in found.values()) < SIZE * 2 // 3
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of SIZE bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not tested here: mounting a file system is not permitted ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Write a file until only `leave` bytes are free; return it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        wanted = SIZE - leave
        try:
            while (room := wanted - used(disk)) > 0:
                file.write(bytes(min(room, 1 << 16)))
        except OSError:
            assert leave == 0
    return ballast


def used(disk: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in disk.rglob("*"))


def assert_stopped(done: "subprocess.CompletedProcess[str]", disk: Path, expected: dict[str, bytes]) -> None:
    assert done.returncode == 43, done.stderr
    assert "Traceback" not in done.stderr
    assert "resumes where it stopped" in done.stderr
    assert_files_correct(disk / "out", expected)


def assert_resumes(sandbox: SandboxProcess, arguments: list[str], disk: Path, expected: dict[str, bytes]) -> None:
    again = sandbox.dap(*arguments)
    assert again.returncode == 0, again.stderr
    assert files(disk / "out") == expected
    assert not list(disk.rglob("*.part"))
    verified = sandbox.dap("verify", str(disk / "out"))
    assert verified.returncode == 0, verified.stdout


def test_an_object_of_unknown_length_fills_the_disk(
    sandbox: SandboxProcess, expected: dict[str, bytes], disk: Path
) -> None:
    sandbox.set_faults(f"no-length:{BIG}")
    ballast = fill(disk, leave=2 << 20)
    arguments = snapshot_arguments(disk / "out", "parquet", TABLES)
    assert_stopped(sandbox.dap(*arguments), disk, expected)
    left = sum(path.stat().st_size for path in disk.rglob("*.part"))
    assert left < 1 << 20, (
        "a partial file that cannot be continued still takes space"
    )  # partial files of other, small tables may remain
    ballast.unlink()
    assert_resumes(sandbox, arguments, disk, expected)


def test_another_file_fills_the_disk_during_the_download(
    sandbox: SandboxProcess, expected: dict[str, bytes], disk: Path
) -> None:
    sandbox.set_faults(f"stall:10s:{BIG}:x1")
    arguments = snapshot_arguments(disk / "out", "parquet", TABLES)
    with sandbox.start(*arguments) as running:
        wait_until(lambda: any(part.stat().st_size for part in disk.rglob(".*.part")), "the first bytes are written")
        ballast = fill(disk)
        _, stderr = running.communicate(timeout=60)
    assert_stopped(subprocess.CompletedProcess(arguments, running.returncode, "", stderr), disk, expected)
    assert not [place for place in files(disk / "out") if len(expected[place]) > SIZE // 3]
    ballast.unlink()
    assert_resumes(sandbox, arguments, disk, expected)


def test_a_file_that_cannot_fit_is_not_started(sandbox: SandboxProcess, expected: dict[str, bytes], disk: Path) -> None:
    sandbox.set_faults()
    ballast = fill(disk, leave=2 << 20)
    arguments = snapshot_arguments(disk / "out", "parquet", TABLES)
    done = sandbox.dap(*arguments)
    assert_stopped(done, disk, expected)
    assert "bytes are needed" in done.stderr
    ballast.unlink()
    assert_resumes(sandbox, arguments, disk, expected)


def test_a_disk_without_space_for_the_journal(sandbox: SandboxProcess, expected: dict[str, bytes], disk: Path) -> None:
    sandbox.set_faults()
    ballast = fill(disk)
    arguments = snapshot_arguments(disk / "out", "parquet", TABLES)
    assert_stopped(sandbox.dap(*arguments), disk, expected)
    ballast.unlink()
    assert_resumes(sandbox, arguments, disk, expected)
