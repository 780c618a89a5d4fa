"""Responses that no service should send.

Each must lead to an error with its documented code that says what was received, or be harmless: never a hang, a
traceback, leaked credentials, or a wrong file under a final name.
"""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), part_rows=25, job_seconds=0.3) as sandbox:
        yield sandbox.with_environ(DAP_RETRY_TIMEOUT="2")


@pytest.fixture
def sandbox(running: SandboxProcess) -> SandboxProcess:
    """The sandbox as if just started: no faults, no jobs."""
    running.reset()
    running.set_faults()
    return running


def snapshot(output: Path, file_format: str = "jsonl", table: str = "course*") -> list[str]:
    """Return the arguments of a snapshot that uses every endpoint."""
    command = ["snapshot", "--namespace", "canvas", "--table", table, "--format", file_format, "--json"]
    return [*command, "--output-directory", str(output)]


def assert_fails(sandbox: SandboxProcess, output: Path, code: int, file_format: str = "jsonl") -> str:
    """Run a snapshot that must fail with this exit code and leave no files; return its error messages."""
    done = sandbox.dap(*snapshot(output, file_format), timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    error = json.loads(done.stderr.splitlines()[-1])
    assert error["exit_code"] == code
    assert error["message"]
    assert error["hint"]
    assert files(output) == {}
    assert not list(output.glob("job_*/.manifest.json"))
    assert sandbox.traffic()["credential_leaks"] == []
    table_errors: list[dict[str, Any]] = json.loads(done.stdout)["failed"] if done.stdout else []
    return "\n".join(each["message"] for each in [error, *table_errors])


def contents(output: Path) -> list[bytes]:
    return sorted(files(output).values())


def complete(sandbox: SandboxProcess, output: Path, file_format: str = "jsonl", table: str = "course*") -> list[bytes]:
    """Run a snapshot that must succeed; return the contents of its files."""
    done = sandbox.dap(*snapshot(output, file_format, table))
    assert done.returncode == 0, done.stderr
    assert sandbox.dap("verify", str(output)).returncode == 0
    assert sandbox.traffic()["credential_leaks"] == []
    return contents(output)


@pytest.mark.parametrize(
    ("fault", "code", "named"),
    [
        ("invalid-json@login", 25, "JSON"),
        ("invalid-json@data", 25, "JSON"),
        ("html@url", 25, "<html>"),
        ("html-error@list", 23, "HTTP 502"),
        ("empty-error@login", 23, "HTTP 500"),
        ("empty-error@job", 23, "HTTP 500"),
        ("missing-field@list", 25, "field"),
        ("missing-field@data", 25, "field"),
        ("missing-field@job", 25, "job"),
        ("missing-field@url", 25, "field"),
        ("unknown-state@data", 25, "archived"),
        ("unknown-state@job", 25, "archived"),
        *((f"redirect@{endpoint}", 25, "localhost") for endpoint in ("login", "list", "data", "job", "url")),
    ],
)
def test_an_invalid_response(sandbox: SandboxProcess, tmp_path: Path, fault: str, code: int, named: str) -> None:
    sandbox.set_faults(fault)
    assert named in assert_fails(sandbox, tmp_path / "out", code)


def test_unknown_fields_are_ignored(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.set_faults("extra-fields")
    assert complete(sandbox, tmp_path / "out") != []


def test_redirects_of_objects_are_followed_without_credentials(sandbox: SandboxProcess, tmp_path: Path) -> None:
    expected = complete(sandbox, tmp_path / "expected")
    sandbox.set_faults("redirect@object")
    assert complete(sandbox, tmp_path / "out") == expected
    assert sandbox.traffic()["faults"]["redirect@object"] >= len(expected)


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_file_names_that_would_escape_from_the_folder(
    sandbox: SandboxProcess, tmp_path: Path, file_format: str
) -> None:
    expected = complete(sandbox, tmp_path / "expected", file_format, "a*,course*")
    before = set(tmp_path.rglob("*"))
    sandbox.set_faults("unsafe-name")
    output = tmp_path / "deep" / "down" / "out"
    assert complete(sandbox, output, file_format, "a*,course*") == expected
    assert sandbox.traffic()["faults"]["unsafe-name"] >= 12, "too few objects for every kind of name"
    made = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(output) or output.is_relative_to(path) for path in made)
    assert not Path("/tmp/evil").exists()
    for manifest in output.glob("job_*/.manifest.json"):
        names = [item["name"] for item in json.loads(manifest.read_bytes())["objects"]]
        assert len({name.casefold() for name in names}) == len(names)
        assert all(name.isprintable() and not name.startswith(".") for name in names)
        assert {name.partition(".")[0].upper() for name in names}.isdisjoint({"CON", "NUL", ""})


@pytest.mark.parametrize(("file_format", "named"), [("jsonl", "gzip"), ("parquet", "Parquet")])
def test_a_web_page_instead_of_an_object(sandbox: SandboxProcess, tmp_path: Path, file_format: str, named: str) -> None:
    sandbox.set_faults("html@object")
    messages = assert_fails(sandbox, tmp_path / "out", 40, file_format)
    assert named in messages
    assert "DOCTYPE" in messages


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_a_body_longer_than_announced_never_becomes_a_longer_file(
    sandbox: SandboxProcess, tmp_path: Path, file_format: str
) -> None:
    expected = complete(sandbox, tmp_path / "expected", file_format)
    sandbox.set_faults("long")
    done = sandbox.dap(*snapshot(tmp_path / "out", file_format), timeout=60)
    assert "Traceback" not in done.stderr
    assert set(contents(tmp_path / "out")) <= set(expected)
    assert done.returncode in (0, 3, 20)
    if done.returncode:
        assert {each["code"] for each in json.loads(done.stdout)["failed"]} <= {"network", "integrity"}
    sandbox.set_faults()
    assert complete(sandbox, tmp_path / "out", file_format) == expected


@pytest.fixture
def limited(sandbox: SandboxProcess, tmp_path: Path) -> SandboxProcess:
    """The sandbox for a command that gives up after 8 MiB instead of 2 GiB."""
    folder = tmp_path / "site"
    folder.mkdir()
    patch = """
        import dapkit.transfer.object_download
        dapkit.transfer.object_download.MAX_UNANNOUNCED_SIZE = 8 << 20
    """
    (folder / "sitecustomize.py").write_text(textwrap.dedent(patch))
    return sandbox.with_environ(PYTHONPATH=str(folder))


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "tsv", "parquet"])
def test_a_body_without_end(limited: SandboxProcess, tmp_path: Path, file_format: str) -> None:
    limited.set_faults("endless")
    assert "did not end" in assert_fails(limited, tmp_path / "out", 25, file_format)
    assert not list(tmp_path.rglob("*.part"))
    # An endless object is not requested again and again.
    sent = [each["bytes"] for each in limited.traffic()["objects"].values()]
    assert max(sent) < (5 * 12 << 20)
