"""`kill -9` at random moments of a long run, the same command again each time: whole, and nothing fetched twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.support.sandbox_process import assert_honest, files, sandbox_process, snapshot_words

KILLS = 100 if "DAPKIT_SOAK" in os.environ else 20
LONG = ("submissions", "users", "enrollments", "quiz_submissions", "content_participations")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again_it_ends_byte_equal_and_fetches_no_whole_file_twice(tmp_path: Path) -> None:
    moments = random.Random(20)
    with sandbox_process(tmp_path / "state", scale=0.3, part_rows=60, job_seconds=0.2) as sandbox:
        words = snapshot_words(tmp_path / "out", tables=LONG)
        kept: set[str] = set()
        for _ in range(KILLS):
            with sandbox.start(*words) as running:
                assert running.stderr is not None
                time.sleep(moments.uniform(0.35, 1.1))
                running.kill()
            now = set(files(tmp_path / "out"))
            assert kept <= now, "a whole file went away"
            kept = now
        last = sandbox.dap(*words)
        assert last.returncode == 0, last.stderr
        objects = sandbox.traffic()["objects"]
        assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0
        assert sandbox.dap(*snapshot_words(tmp_path / "truth", tables=LONG)).returncode == 0
        assert_honest(tmp_path / "out", files(tmp_path / "truth"))
        assert files(tmp_path / "out") == files(tmp_path / "truth")
    # A kill may fall between the last byte on the wire and the rename: at most so many objects were sent again.
    again = sum(each["complete"] > 1 for each in objects.values())
    assert again <= KILLS * 8
    assert again < len(objects) / 2


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_within_two_seconds_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "state", job_seconds=3.0) as sandbox:
        words = snapshot_words(tmp_path / "out")
        with sandbox.start(*words) as running:
            time.sleep(1.5)
            running.send_signal(signal.SIGINT)
            sent = time.monotonic()
            _, told = running.communicate(timeout=10)
            assert time.monotonic() - sent < 2
        assert running.returncode == 130
        assert "go" in told
        done = sandbox.dap(*words)
        assert done.returncode == 0
        assert "continuing" in done.stderr


@pytest.mark.slow
def test_six_commands_share_one_folder(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "state", job_seconds=1.0) as sandbox:
        one = ["users", "courses", "enrollments", "pseudonyms"]
        commands = [snapshot_words(tmp_path / "out", tables=(table,)) for table in one]
        commands.append(snapshot_words(tmp_path / "out", tables=("users", "courses")))
        commands[0].append("--wait")  # it or its equal comes first
        commands.append(commands[0])
        running = [sandbox.start(*words) for words in commands]
        for each in running:
            _, told = each.communicate(timeout=60)
            assert each.returncode == 0, told
        assert sandbox.dap("verify", str(tmp_path / "out")).returncode == 0
        assert len(list((tmp_path / "out").glob("job_*"))) == 4
        assert max(each["complete"] for each in sandbox.traffic()["objects"].values()) == 1
