"""The options of `dap sandbox`, as another command sees them: scopes, short-lived tokens and jobs, small files."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_command, snapshot_arguments
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def two_scopes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_command(
        tmp_path_factory.mktemp("state"), "--offer-scope", "north", "--offer-scope", "south"
    ) as running:
        yield running


def snapshot(output: Path) -> list[str]:
    return snapshot_arguments(output, tables=("courses",))


def scopes(output: Path) -> list[str | None]:
    return [json.loads(path.read_bytes())["scope"] for path in output.glob("job_*/.manifest.json")]


@pytest.mark.parametrize("command", ["snapshot", "list", "schema"])
def test_with_several_scopes_one_must_be_chosen(two_scopes: SandboxProcess, tmp_path: Path, command: str) -> None:
    more = {
        "snapshot": snapshot(tmp_path / "out"),
        "schema": ["schema", "--namespace", "canvas", "--table", "courses"],
    }
    done = two_scopes.dap(*more.get(command, ["list", "--namespace", "canvas"]), cwd=tmp_path)
    assert done.returncode == 34
    assert "scope" in done.stderr
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "out") == {}


def test_a_scope_is_chosen_before_or_after_the_command_or_by_a_variable(
    two_scopes: SandboxProcess, tmp_path: Path
) -> None:
    runs = {
        "before": ("north", two_scopes, ["--scope", "north", *snapshot(tmp_path / "before")]),
        "after": ("south", two_scopes, [*snapshot(tmp_path / "after"), "--scope", "south"]),
        "variable": ("north", two_scopes.with_environ(DAP_SCOPE="north"), snapshot(tmp_path / "variable")),
    }
    for place, (name, sandbox, command) in runs.items():
        done = sandbox.dap(*command)
        assert done.returncode == 0, done.stderr
        assert scopes(tmp_path / place) == [name]


def test_an_unknown_scope(two_scopes: SandboxProcess, tmp_path: Path) -> None:
    done = two_scopes.dap("list", "--namespace", "canvas", "--scope", "west")
    assert done.returncode == 30
    assert "scope" in done.stderr
    assert "west" in done.stderr


def test_increments_start_from_results_of_the_same_scope_only(two_scopes: SandboxProcess, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert two_scopes.dap(*snapshot(tmp_path / "out"), "--scope", "north").returncode == 0
    incremental = ["incremental", "--namespace", "canvas", "--table", "courses", "--since", out]
    assert two_scopes.dap(*incremental, "--output-directory", out, "--scope", "north").returncode == 0
    other = two_scopes.dap(*incremental, "--output-directory", out, "--scope", "south")
    assert other.returncode == 36, other.stderr


def test_tokens_that_expire_after_a_second_are_renewed(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--token-seconds", "1", "--job-seconds", "3") as sandbox:
        done = sandbox.dap(*snapshot(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        responses = sandbox.traffic()["responses"]
    assert responses["login"]["200"] >= 3


def test_a_token_that_the_service_rejects_is_renewed(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--job-seconds", "600", "--job-life-seconds", "9000") as sandbox:
        with sandbox.start(*snapshot(tmp_path / "out")) as running:
            wait_until(lambda: "202" in sandbox.traffic()["responses"].get("job", {}), "a job is polled")
            sandbox.skip(4000)
            _, stderr = running.communicate(timeout=60)
        responses = sandbox.traffic()["responses"]
    assert running.returncode == 0, stderr
    assert responses["login"]["200"] == 2
    assert responses["job"]["401"] == 1


def test_the_size_of_files_and_the_lifetime_of_jobs(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--part-rows", "9", "--job-life-seconds", "500") as sandbox:
        before = time.time()
        done = sandbox.dap(*snapshot(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert len(files(tmp_path / "out")) == 4  # 32 courses
        (journal,) = tmp_path.glob("out/.dap/runs/*.jsonl")
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
        lifetimes = [entry["expires_at"] - before for entry in entries if "expires_at" in entry]
        assert 499 < lifetimes[0] < 700  # more than 500 by the time from `before` to the job's submission


@pytest.mark.parametrize(
    ("fault", "code"), [("out-of-range", 32), ("snapshot-required", 33), ("account-maintenance", 14), ("403", 15)]
)
def test_qualified_types_of_errors_mean_the_same(fault: str, code: int, tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--qualified-errors", "--fault", f"{fault}@data") as sandbox:
        since = ["--since", "2026-01-01T00:00:00Z"]
        done = sandbox.dap("incremental", "--namespace", "canvas", "--table", "users", *since, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "com.example." in done.stderr


def test_a_repeated_snapshot_is_denied_for_its_table_only(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--fault", "repeated-snapshot") as sandbox:
        assert sandbox.dap(*snapshot(tmp_path / "out")).returncode == 0
        sandbox.advance()
        again = sandbox.dap(*snapshot_arguments(tmp_path / "out", tables=("courses", "wikis")), "--json", "--new")
        denied, done = json.loads(again.stdout)["failed"], json.loads(again.stdout)["tables"]
        assert [(each["table"], each["code"]) for each in denied] == [("courses", "forbidden")]
        assert "increment" in denied[0]["hint"]
        assert [each["table"] for each in done] == ["wikis"]
        assert sandbox.traffic()["responses"]["data"]["403"] == 1  # not retried
        since = ["--since", str(tmp_path / "out"), "--output-directory", str(tmp_path / "out")]
        incremental = ["incremental", "--namespace", "canvas", "--table", "courses", *since]
        assert sandbox.dap(*incremental).returncode == 0


def test_the_command_sends_a_user_agent(tmp_path: Path) -> None:
    # The sandbox answers 403 without a User-Agent (tests/sandbox/test_routes.py), so a run that succeeds sent one.
    with sandbox_command(tmp_path / "state") as sandbox:
        assert sandbox.dap("list", "--namespace", "canvas").returncode == 0
        assert "403" not in sandbox.traffic()["responses"]["list"]
