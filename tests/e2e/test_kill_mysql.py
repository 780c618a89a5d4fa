"""`kill -9` of syncs into MariaDB at random moments: the next run goes on unattended, and ends right."""

import os
import random
import time
from pathlib import Path

import pytest
from tests.support.mariadb_server import MySqlServer
from tests.support.sandbox_process import sandbox_process

KILLS = 60 if "DAPKIT_SOAK" in os.environ else 12
TABLES = {"canvas": "users,courses,enrollments,submissions,assignments", "canvas_logs": "web_logs"}


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(600)
def test_killed_again_and_again_it_ends_right(tmp_path: Path, mysql_server: MySqlServer) -> None:
    moments = random.Random(7)
    with (
        sandbox_process(tmp_path / "state", scale=0.3, part_rows=200, job_seconds=0.1) as sandbox,
        mysql_server.database() as url,
    ):
        words = {name: ["--namespace", name, "--table", tables, "--to", url] for name, tables in TABLES.items()}
        for number in range(KILLS):
            with sandbox.start("sync", *words["canvas" if number % 3 else "canvas_logs"]) as running:
                time.sleep(moments.uniform(0.5, 2.2))
                running.kill()
            if number % 4 == 3:
                sandbox.advance(24)
        for each in words.values():
            done = sandbox.dap("reconcile", *each)  # which syncs first
            assert done.returncode == 0, done.stderr[-2000:]
