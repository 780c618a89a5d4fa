"""`kill -9` at random moments of a long run, then the same command again: it completes and downloads nothing twice."""

import os
import random
import time
from pathlib import Path

import pytest
from tests.support.sandbox_process import assert_files_correct, files, sandbox_process, snapshot_arguments

KILLS = 100 if "DAPKIT_SOAK" in os.environ else 20
LONG = ("submissions", "users", "enrollments", "quiz_submissions", "content_participations")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_repeated_kills_end_in_identical_files_and_no_complete_file_is_downloaded_twice(tmp_path: Path) -> None:
    moments = random.Random(20)
    with sandbox_process(tmp_path / "state", scale=0.3, part_rows=60, job_seconds=0.2) as sandbox:
        arguments = snapshot_arguments(tmp_path / "out", tables=LONG)
        kept: set[str] = set()
        for _ in range(KILLS):
            with sandbox.start(*arguments) as running:
                assert running.stderr is not None
                time.sleep(moments.uniform(0.35, 1.1))
                running.kill()
            now = set(files(tmp_path / "out"))
            assert kept <= now, "a complete file has disappeared"
            kept = now
        last = sandbox.dap(*arguments)
        assert last.returncode == 0, last.stderr
        objects = sandbox.traffic()["objects"]
        assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0
        assert sandbox.dap(*snapshot_arguments(tmp_path / "expected", tables=LONG)).returncode == 0
        assert_files_correct(tmp_path / "out", files(tmp_path / "expected"))
        assert files(tmp_path / "out") == files(tmp_path / "expected")
    # A kill may happen between the last byte and the rename, in each of the 8 parallel downloads.
    again = sum(each["complete"] > 1 for each in objects.values())
    assert again <= KILLS * 8
    assert again < len(objects) / 2


@pytest.mark.slow
def test_six_commands_share_one_output_folder(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "state", job_seconds=1.0) as sandbox:
        tables = ["users", "courses", "enrollments", "pseudonyms"]
        commands = [snapshot_arguments(tmp_path / "out", tables=(table,)) for table in tables]
        commands.append(snapshot_arguments(tmp_path / "out", tables=("users", "courses")))
        commands[0].append("--wait")  # it has an identical twin
        commands.append(commands[0])
        running = [sandbox.start(*arguments) for arguments in commands]
        for each in running:
            _, stderr = each.communicate(timeout=60)
            assert each.returncode == 0, stderr
        assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0
        assert len(list((tmp_path / "out").glob("job_*"))) == 4
        assert max(each["complete"] for each in sandbox.traffic()["objects"].values()) == 1
