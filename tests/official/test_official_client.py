"""The official client accepts everything that the sandbox sends.

The environment variable DAPKIT_OFFICIAL names its `dap` command; without it these tests are skipped.
"""

import asyncio
import gzip
import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.sandbox.service.server import Sandbox
from dapkit.sandbox.service.state import SandboxOptions

OFFICIAL = os.environ.get("DAPKIT_OFFICIAL", "")
SCALE = 0.05
WARNING = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|Traceback")

LATER_MS = 4_000_000_000_000  # after the last schema change

pytestmark = [
    pytest.mark.official,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not OFFICIAL, reason="DAPKIT_OFFICIAL does not name the official client's dap command"),
]


@dataclass(frozen=True)
class Official:
    """The official command, with a sandbox and a working folder."""

    sandbox: Sandbox
    folder: Path

    async def __call__(self, *arguments: str) -> list[str]:
        """Run a command; it must succeed without warnings. Return the lines of its standard output."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "DAP_API_URL": self.sandbox.base_url,
            "DAP_CLIENT_ID": self.sandbox.client_id,
            "DAP_CLIENT_SECRET": self.sandbox.client_secret,
        }
        process = await asyncio.create_subprocess_exec(
            OFFICIAL,
            "--non-interactive",
            "--no-tracking",
            *arguments,
            cwd=self.folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, messages = (part.decode() for part in await process.communicate())
        assert process.returncode == 0, messages[-4000:]
        assert not WARNING.search(messages), messages[-4000:]
        return out.splitlines()


@pytest.fixture
def against_sandbox(tmp_path: Path) -> Callable[[Callable[[Official], Awaitable[None]]], None]:
    """Return a function that runs a scenario with a sandbox whose jobs complete at once."""

    def run(scenario: Callable[[Official], Awaitable[None]]) -> None:
        async def main() -> None:
            async with Sandbox(SandboxOptions(scale=SCALE, job_seconds=0.0, embedded=True)) as sandbox:
                await scenario(Official(sandbox, tmp_path))
                assert sandbox.traffic.credential_leaks == []
                rejected = {key: n for key, n in sandbox.traffic.responses.items() if key[1] not in (200, 202)}
                assert rejected == {}

        asyncio.run(main())

    return run


RunScenario = Callable[[Callable[[Official], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset(scale=SCALE)


def expected_rows(data: Dataset, query: DataQuery) -> int:
    return sum(len(data.rows(part)) for part in data.parts(query))


def jsonl_rows(folder: Path) -> int:
    return sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in folder.glob("job_*/*.jsonl.gz"))


def test_list(against_sandbox: RunScenario, data: Dataset) -> None:
    async def scenario(official: Official) -> None:
        for namespace in data.namespaces():
            assert sorted(await official("list", "--namespace", namespace)) == sorted(data.tables(namespace))

    against_sandbox(scenario)


def test_schemas_of_every_table(against_sandbox: RunScenario, data: Dataset) -> None:
    async def scenario(official: Official) -> None:
        for namespace in data.namespaces():
            await official("schema", "--namespace", namespace, "--table", "all", "--output-directory", namespace)
            saved = list((official.folder / namespace).glob("*_schema_version_*.json"))
            assert len(saved) == len(data.tables(namespace))
            for path in saved:
                table = path.name.partition("_schema_version_")[0]
                document, version = data.schema(namespace, table, LATER_MS)
                assert json.loads(path.read_text()) == {"schema": document, "version": version}

    against_sandbox(scenario)


@pytest.mark.parametrize("namespace", ["canvas", "canvas_logs", "catalog", "new_quizzes", "edge"])
def test_a_snapshot_of_every_table(against_sandbox: RunScenario, data: Dataset, namespace: str) -> None:
    async def scenario(official: Official) -> None:
        await official("snapshot", "--namespace", namespace, "--table", "all", "--output-directory", "out")
        at_ms = official.sandbox.state.data_clock.now_ms()
        folders = list((official.folder / "out").glob("job_*"))
        assert len(folders) == len(data.tables(namespace))
        expected = sum(
            expected_rows(data, DataQuery(namespace=namespace, table=table, format="jsonl", until_ms=at_ms))
            for table in data.tables(namespace)
        )
        assert jsonl_rows(official.folder / "out") == expected > 0

    against_sandbox(scenario)


@pytest.mark.parametrize("query_format", ["jsonl", "csv", "tsv", "parquet"])
def test_snapshots_in_every_format(against_sandbox: RunScenario, query_format: str) -> None:
    async def scenario(official: Official) -> None:
        for namespace, table in (("canvas", "users,courses,enrollments"), ("edge", "all")):
            await official(
                "snapshot",
                *("--namespace", namespace, "--table", table),
                *("--format", query_format, "--output-directory", namespace),
            )
            ending = query_format if query_format == "parquet" else f"{query_format}.gz"
            files = list((official.folder / namespace).glob("job_*/*"))
            assert files
            assert {path.name.partition(".")[2] for path in files} == {ending}

    against_sandbox(scenario)


def test_incremental(against_sandbox: RunScenario, data: Dataset) -> None:
    async def scenario(official: Official) -> None:
        sandbox = official.sandbox
        since_ms = sandbox.state.data_clock.now_ms()
        sandbox.advance(24)
        until_ms = sandbox.state.data_clock.now_ms()
        tables = ("users", "submissions", "enrollments", "courses")
        await official(
            "incremental",
            *("--namespace", "canvas", "--table", ",".join(tables)),
            *("--since", "2026-09-01T00:00:00Z", "--output-directory", "out"),
        )
        queries = [
            DataQuery(namespace="canvas", table=table, format="jsonl", since_ms=since_ms, until_ms=until_ms)
            for table in tables
        ]
        expected = sum(expected_rows(data, query) for query in queries)
        assert jsonl_rows(official.folder / "out") == expected > 0

    against_sandbox(scenario)
