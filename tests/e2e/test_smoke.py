"""The installed command in brief; the other end-to-end tests are slow."""

import json
from pathlib import Path

from tests.support.sandbox_process import files, sandbox_process


def test_a_partial_snapshot_and_errors(tmp_path: Path) -> None:
    table = ("--namespace", "canvas", "--table")
    with sandbox_process(tmp_path / "state", scale=0.05) as sandbox:
        done = sandbox.dap("snapshot", *table, "courses,usres", "--json", cwd=tmp_path)
        assert done.returncode == 3, done.stderr
        assert len(files(tmp_path / "downloads")) == 1
        assert sandbox.dap("verify", "downloads", cwd=tmp_path).returncode == 0

        result, error = json.loads(done.stdout), json.loads(done.stderr.splitlines()[-1])
        assert [each["table"] for each in result["tables"]] == ["courses"]
        assert [(each["table"], each["code"]) for each in result["failed"]] == [("usres", "table-not-found")]
        assert (error["code"], error["exit_code"]) == ("partial-failure", 3)

        rejected = sandbox.dap("snapshot", *table, "courses", "--client-secret", "wrong", cwd=tmp_path)
        assert (rejected.returncode, rejected.stdout) == (11, "")
        assert sandbox.dap("snapshot", *table, "courses", "--format", "xml", cwd=tmp_path).returncode == 2
