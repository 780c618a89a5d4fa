"""A disk that is really full: a small file system of the test's own, through the installed command."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, assert_honest, files, sandbox_process, snapshot_words

SIZE = 6 << 20
TABLES = ("submissions", "courses")
BIG = "submissions"  # one object of about 3 MB in Parquet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.skipif(sys.platform != "linux", reason="NOT PROVEN HERE: a really full disk needs Linux's tmpfs"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), scale=0.3, part_rows=200_000) as running:
        yield running.with_environ(DAP_READ_TIMEOUT="5")


@pytest.fixture(scope="module")
def truth(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("truth")
    assert sandbox.dap(*snapshot_words(output, "parquet", TABLES)).returncode == 0
    found = files(output)
    assert SIZE // 3 < max(len(content) for content in found.values()) < SIZE * 2 // 3
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of SIZE bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"NOT PROVEN HERE: a really full disk needs the right to mount one ({done.stderr.strip()})")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Write another file until only so many bytes are left; return it."""
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


def assert_stopped(done: "subprocess.CompletedProcess[str]", disk: Path, truth: dict[str, bytes]) -> None:
    assert done.returncode == 43, done.stderr
    assert "Traceback" not in done.stderr
    assert "resumes where it stopped" in done.stderr
    assert_honest(disk / "out", truth)


def assert_goes_on(sandbox: SandboxProcess, words: list[str], disk: Path, truth: dict[str, bytes]) -> None:
    again = sandbox.dap(*words)
    assert again.returncode == 0, again.stderr
    assert files(disk / "out") == truth
    assert not list(disk.rglob("*.part"))
    verified = sandbox.dap("verify", str(disk / "out"))
    assert verified.returncode == 0, verified.stdout


def test_an_object_of_unannounced_length_meets_the_end_of_the_disk(
    sandbox: SandboxProcess, truth: dict[str, bytes], disk: Path
) -> None:
    sandbox.misbehave(f"no-length:{BIG}")
    ballast = fill(disk, leave=2 << 20)
    words = snapshot_words(disk / "out", "parquet", TABLES)
    assert_stopped(sandbox.dap(*words), disk, truth)
    left = sum(path.stat().st_size for path in disk.rglob("*.part"))
    assert left < 1 << 20, (
        "what cannot be continued still takes space"
    )  # small files of other tables may be on their way
    ballast.unlink()
    assert_goes_on(sandbox, words, disk, truth)


def test_another_file_fills_the_disk_meanwhile(sandbox: SandboxProcess, truth: dict[str, bytes], disk: Path) -> None:
    sandbox.misbehave(f"stall:3s:{BIG}:x1")
    words = snapshot_words(disk / "out", "parquet", TABLES)
    with sandbox.start(*words) as running:
        deadline = time.monotonic() + 20
        while not any(part.stat().st_size for part in disk.rglob(".*.part")):
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.05)
        ballast = fill(disk)
        _, told = running.communicate(timeout=60)
    assert_stopped(subprocess.CompletedProcess(words, running.returncode, "", told), disk, truth)
    assert not [place for place in files(disk / "out") if len(truth[place]) > SIZE // 3]
    ballast.unlink()
    assert_goes_on(sandbox, words, disk, truth)


def test_what_is_announced_and_does_not_fit_is_not_begun(
    sandbox: SandboxProcess, truth: dict[str, bytes], disk: Path
) -> None:
    sandbox.misbehave()
    ballast = fill(disk, leave=2 << 20)
    words = snapshot_words(disk / "out", "parquet", TABLES)
    done = sandbox.dap(*words)
    assert_stopped(done, disk, truth)
    assert "bytes are needed" in done.stderr
    ballast.unlink()
    assert_goes_on(sandbox, words, disk, truth)


def test_not_even_the_record_of_the_run_fits(sandbox: SandboxProcess, truth: dict[str, bytes], disk: Path) -> None:
    sandbox.misbehave()
    ballast = fill(disk)
    words = snapshot_words(disk / "out", "parquet", TABLES)
    assert_stopped(sandbox.dap(*words), disk, truth)
    ballast.unlink()
    assert_goes_on(sandbox, words, disk, truth)
