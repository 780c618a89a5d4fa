"""Every fault at every phase, through the installed command: whole and byte-equal, or honestly incomplete."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, assert_honest, files, sandbox_process, snapshot_words

from dapkit.engine.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
SOAK = "DAPKIT_SOAK" in os.environ
FORMATS = ("jsonl", "parquet", "csv", "tsv") if SOAK else ("jsonl", "parquet")
SHARES = (5, 10, 20, 50) if SOAK else (10,)
KINDS = (
    "cut", "short", "corrupt", "stall@object", "500", "503", "504", "429:1s", "401@list,data,job,url",
    "html@list,data,job,url", "expired-url", "expired-job", "failed-job",
)  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def truth(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    found = {}
    sandbox.misbehave()
    for file_format in FORMATS:
        output = tmp_path_factory.mktemp(file_format)
        assert sandbox.dap(*snapshot_words(output, file_format)).returncode == 0
        found[file_format] = files(output)
        assert len(found[file_format]) > 10
    return found


def fault(kind: str, share: int) -> str:
    name, at, phases = kind.partition("@")
    word, *rest = name.split(":")
    return ":".join([word, f"{share}%", *rest]) + at + phases


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_costs_time_but_no_truth(
    sandbox: SandboxProcess, truth: dict[str, dict[str, bytes]], tmp_path: Path, kind: str, share: int, file_format: str
) -> None:
    sandbox.misbehave(fault(kind, share))
    try:
        done = sandbox.dap(*snapshot_words(tmp_path, file_format), "--json")
    finally:
        sandbox.misbehave()
    assert "Traceback" not in done.stderr
    if kind in ("failed-job", "expired-job"):  # other jobs than those of the truth, so proven by their manifests
        assert verify(tmp_path).problems == ()
    else:
        assert_honest(tmp_path, truth[file_format])
    if done.returncode == 0:
        assert len(json.loads(done.stdout)["tables"]) == 5
        assert not list(tmp_path.rglob("*.part"))
        return
    assert done.returncode < 64
    again = sandbox.dap(*snapshot_words(tmp_path, file_format))
    assert again.returncode == 0, again.stderr
    assert verify(tmp_path).problems == ()
