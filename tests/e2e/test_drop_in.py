"""Scripts written for the official command run unchanged: its flags, defaults and file names."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process

from dapkit.export.verify import verify

SERVED = re.compile(r"job_[a-z0-9]+/part-\d{5}-[0-9a-f-]{36}-c000\.(jsonl\.gz|csv\.gz|tsv\.gz|parquet)")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), scale=0.05, part_rows=10_000) as running:
        yield running


def run(sandbox: SandboxProcess, folder: Path, line: str) -> str:
    """Run a command line in a folder; it must succeed. Return its standard output."""
    done = sandbox.dap(*line.split()[1:], cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(output: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_bytes()) for path in output.glob("job_*/.manifest.json")]
    return {each["table"]: each for each in found}


@pytest.mark.parametrize(
    ("line", "tables", "ending"),
    [
        ("dap snapshot --namespace canvas --table courses", {"courses"}, "jsonl.gz"),
        ("dap snapshot --namespace canvas --table courses,users,wikis", {"courses", "users", "wikis"}, "jsonl.gz"),
        ("dap snapshot --namespace canvas_logs --table web_logs --format csv", {"web_logs"}, "csv.gz"),
        ("dap snapshot --namespace canvas --table accounts --format CSV", {"accounts"}, "csv.gz"),
        ("dap snapshot --namespace canvas --table accounts --format JSONL", {"accounts"}, "jsonl.gz"),
        ("dap snapshot --namespace canvas --table accounts --format Parquet", {"accounts"}, "parquet"),
        ("dap snapshot --namespace canvas --table accounts --format PARQUET", {"accounts"}, "parquet"),
        ("dap snapshot --namespace canvas --table accounts --format TSV", {"accounts"}, "tsv.gz"),
    ],
)
def test_snapshot_commands_of_the_official_documentation(
    sandbox: SandboxProcess, tmp_path: Path, line: str, tables: set[str], ending: str
) -> None:
    assert run(sandbox, tmp_path, line) == "", "standard output is reserved for results"
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]
    resources = files(tmp_path / "downloads")
    assert all(SERVED.fullmatch(place) and place.endswith(f".{ending}") for place in resources)
    assert manifests(tmp_path / "downloads").keys() == tables
    assert len({place.partition("/")[0] for place in resources}) == len(tables)
    assert verify(tmp_path / "downloads").problems == ()


def test_a_snapshot_of_all_tables(sandbox: SandboxProcess, tmp_path: Path) -> None:
    run(sandbox, tmp_path, "dap snapshot --namespace canvas --table all")
    listed = run(sandbox, tmp_path, "dap --non-interactive list --namespace canvas").splitlines()
    assert len(listed) > 80
    assert manifests(tmp_path / "downloads").keys() == set(listed)
    assert verify(tmp_path / "downloads").problems == ()


@pytest.mark.parametrize("namespace", ["canvas", "canvas_logs", "catalog", "new_quizzes"])
def test_list_prints_one_name_per_line(sandbox: SandboxProcess, tmp_path: Path, namespace: str) -> None:
    lines = run(sandbox, tmp_path, f"dap --non-interactive list --namespace {namespace}").splitlines()
    assert lines
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", line) for line in lines)
    assert len(set(lines)) == len(lines)


def test_schemas_have_the_official_file_names_and_format(sandbox: SandboxProcess, tmp_path: Path) -> None:
    run(sandbox, tmp_path, "dap schema --namespace canvas --table courses,users")
    run(sandbox, tmp_path, "dap schema --namespace catalog --table all --output-directory schemas")
    names = [path.name for path in (tmp_path / "downloads").iterdir()]
    tables = {match[1] for name in names if (match := re.fullmatch(r"(\w+)_schema_version_\d+\.json", name))}
    assert tables == {"courses", "users"}
    assert len(names) == 2
    saved = [*(tmp_path / "downloads").iterdir(), *(tmp_path / "schemas").iterdir()]
    assert len(saved) > 20
    for path in saved:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        assert list(content) == ["schema", "version"]
        assert path.name.endswith(f"_schema_version_{content['version']}.json")
        assert content["schema"]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert text.startswith('{\n    "schema": {\n        "')


def test_incremental(sandbox: SandboxProcess, tmp_path: Path) -> None:
    since = (datetime.now(UTC) - timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    until = (datetime.now(UTC) - timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    run(sandbox, tmp_path, f"dap incremental --namespace canvas --table users --since {since} --until {until}")
    made = manifests(tmp_path / "downloads")["users"]
    assert datetime.fromisoformat(made["since"]) == datetime.fromisoformat(since)
    assert datetime.fromisoformat(made["until"]) == datetime.fromisoformat(until)
    (place,) = files(tmp_path / "downloads")
    lines = gzip.decompress((tmp_path / "downloads" / place).read_bytes()).splitlines()
    assert {json.loads(line)["meta"]["action"] for line in lines} <= {"U", "D"}


def test_a_time_without_a_zone_is_local_and_a_notice_gives_it_in_utc(sandbox: SandboxProcess, tmp_path: Path) -> None:
    here = (datetime.now(UTC) - timedelta(days=3)).replace(microsecond=0, tzinfo=None)
    there = f"{(here + timedelta(hours=5)).isoformat()}Z"
    arguments = ["incremental", "--namespace", "canvas", "--table", "users", "--since", here.isoformat()]
    done = sandbox.with_environ(TZ="FIVE+5").dap(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no time zone" in done.stderr
    assert there in done.stderr
    since = manifests(tmp_path / "downloads")["users"]["since"]
    assert datetime.fromisoformat(since) == datetime.fromisoformat(there)


def test_the_misspelt_namespace_of_some_official_pages(sandbox: SandboxProcess, tmp_path: Path) -> None:
    arguments = ["--namespace", "canvas_log", "--table", "web_logs"]
    for command in (["snapshot", *arguments], ["schema", *arguments], ["list", *arguments[:2]]):
        done = sandbox.dap(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Using canvas_logs instead" in done.stderr
    assert manifests(tmp_path / "downloads")["web_logs"]["namespace"] == "canvas_logs"


@pytest.mark.parametrize("before", [True, False])
def test_credentials_and_address_before_or_after_the_command(
    sandbox: SandboxProcess, tmp_path: Path, *, before: bool
) -> None:
    environ = sandbox.environ
    bare = sandbox.with_environ(DAP_API_URL=None, DAP_CLIENT_ID=None, DAP_CLIENT_SECRET=None)
    given = ["--client-id", environ["DAP_CLIENT_ID"], "--client-secret", environ["DAP_CLIENT_SECRET"]]
    given += ["--base-url", f"{environ['DAP_API_URL']}/"]
    command = ["snapshot", "--namespace", "canvas", "--table", "accounts"]
    done = bare.dap(*(given + command if before else command + given), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert manifests(tmp_path / "downloads").keys() == {"accounts"}


def test_every_global_flag_of_the_official_command_is_accepted(sandbox: SandboxProcess, tmp_path: Path) -> None:
    flags = "--loglevel debug --logfile dap.log --logformat json --no-log-to-console --no-tracking --non-interactive"
    line = f"dap {flags} --console-theme high-contrast-bw snapshot --namespace canvas --table accounts"
    done = sandbox.dap(*line.split()[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logged = [json.loads(text) for text in (tmp_path / "dap.log").read_text().splitlines()]
    assert {entry["level"] for entry in logged} >= {"INFO", "DEBUG"}
    assert not [line for line in done.stderr.splitlines() if line.startswith("{")]


def test_a_bare_command_prints_help(sandbox: SandboxProcess, tmp_path: Path) -> None:
    assert "snapshot" in run(sandbox, tmp_path, "dap")
    for command in ("snapshot", "incremental", "list", "schema"):
        assert "--namespace" in run(sandbox, tmp_path, f"dap {command} -h")
        assert run(sandbox, tmp_path, f"dap {command} --help") == run(sandbox, tmp_path, f"dap {command} -h")
    assert run(sandbox, tmp_path, "dap --version").strip()
