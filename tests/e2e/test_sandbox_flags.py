"""`dap sandbox` and its flags, met by the command from outside: scopes, short tokens, small parts, short-lived jobs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_command, snapshot_words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def two_scopes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_command(
        tmp_path_factory.mktemp("state"), "--offer-scope", "north", "--offer-scope", "south"
    ) as running:
        yield running


def words(output: Path) -> list[str]:
    return snapshot_words(output, tables=("courses",))


def scopes(output: Path) -> list[str | None]:
    return [json.loads(path.read_bytes())["scope"] for path in output.glob("job_*/.manifest.json")]


@pytest.mark.parametrize("command", ["snapshot", "list", "schema"])
def test_with_several_scopes_one_must_be_named(two_scopes: SandboxProcess, tmp_path: Path, command: str) -> None:
    more = {"snapshot": words(tmp_path / "out"), "schema": ["schema", "--namespace", "canvas", "--table", "courses"]}
    done = two_scopes.dap(*more.get(command, ["list", "--namespace", "canvas"]), cwd=tmp_path)
    assert done.returncode == 34
    assert "Several scopes" in done.stderr
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "out") == {}


def test_a_scope_is_named_before_or_after_the_command_or_by_a_variable(
    two_scopes: SandboxProcess, tmp_path: Path
) -> None:
    runs = {
        "before": ("north", two_scopes, ["--scope", "north", *words(tmp_path / "before")]),
        "after": ("south", two_scopes, [*words(tmp_path / "after"), "--scope", "south"]),
        "variable": ("north", two_scopes.with_environ(DAP_SCOPE="north"), words(tmp_path / "variable")),
    }
    for place, (name, sandbox, command) in runs.items():
        done = sandbox.dap(*command)
        assert done.returncode == 0, done.stderr
        assert scopes(tmp_path / place) == [name]


def test_a_scope_that_nobody_knows(two_scopes: SandboxProcess, tmp_path: Path) -> None:
    done = two_scopes.dap("list", "--namespace", "canvas", "--scope", "west")
    assert done.returncode == 30
    assert "scope" in done.stderr
    assert "west" in done.stderr


def test_increments_go_on_from_results_of_the_same_scope_only(two_scopes: SandboxProcess, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert two_scopes.dap(*words(tmp_path / "out"), "--scope", "north").returncode == 0
    incremental = ["incremental", "--namespace", "canvas", "--table", "courses", "--since", out]
    assert two_scopes.dap(*incremental, "--output-directory", out, "--scope", "north").returncode == 0
    other = two_scopes.dap(*incremental, "--output-directory", out, "--scope", "south")
    assert other.returncode == 36, other.stderr


def test_tokens_that_live_for_a_second_are_renewed_and_survived(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--token-seconds", "1", "--job-seconds", "3") as sandbox:
        done = sandbox.dap(*words(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        answers = sandbox.traffic()["responses"]
    assert answers["login"]["200"] >= 3


def test_a_token_that_the_service_forgets_is_renewed(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--job-seconds", "600", "--job-life-seconds", "9000") as sandbox:
        with sandbox.start(*words(tmp_path / "out")) as running:
            deadline = time.monotonic() + 20
            while "202" not in sandbox.traffic()["responses"].get("job", {}):
                assert time.monotonic() < deadline, "no job was asked about"
                time.sleep(0.05)
            sandbox.skip(4000)
            _, told = running.communicate(timeout=60)
        answers = sandbox.traffic()["responses"]
    assert running.returncode == 0, told
    assert answers["login"]["200"] == 2
    assert answers["job"]["401"] == 1


def test_parts_and_the_lives_of_jobs_are_as_long_as_asked(tmp_path: Path) -> None:
    with sandbox_command(tmp_path / "state", "--part-rows", "9", "--job-life-seconds", "500") as sandbox:
        before = time.time()
        done = sandbox.dap(*words(tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert len(files(tmp_path / "out")) == 4  # 32 courses
        (journal,) = tmp_path.glob("out/.dap/runs/*.jsonl")
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
        lives = [entry["expires_at"] - before for entry in entries if "expires_at" in entry]
        assert 499 < lives[0] < 520


def test_a_caller_that_does_not_say_who_it_is_is_refused_and_ours_does(tmp_path: Path) -> None:
    # The sandbox answers 403 without a User-Agent (tests/sandbox/test_routes.py), so a run that ends well sent one.
    with sandbox_command(tmp_path / "state") as sandbox:
        assert sandbox.dap("list", "--namespace", "canvas").returncode == 0
        assert "403" not in sandbox.traffic()["responses"]["list"]
