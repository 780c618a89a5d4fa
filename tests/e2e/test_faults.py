"""Every fault in every phase: the files are complete and byte-identical, or the command reports what is missing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process, snapshot_arguments

from dapkit.export.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
SOAK = "DAPKIT_SOAK" in os.environ
FORMATS = ("jsonl", "parquet", "csv", "tsv")
SHARES = (5, 10, 20, 50)
IN_A_BODY = ("cut", "short", "corrupt", "stall@object")
KINDS = (
    *IN_A_BODY, "500", "503", "504", "429:1s", "401@list,data,job,url", "html@list,data,job,url", "expired-url",
    "expired-job", "failed-job",
)  # fmt: skip
MATRIX = [
    (kind, share, file_format)
    for file_format in FORMATS
    for share in SHARES
    for kind in KINDS
    if SOAK
    or (file_format == "jsonl" and share in (5, 50))
    or (file_format == "parquet" and share == 50 and kind in IN_A_BODY)
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state"), job_seconds=0.2) as running:
        yield running.with_environ(DAP_READ_TIMEOUT="1")  # each stall costs this long


@pytest.fixture(scope="module")
def expected(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The correct file contents by format. They are the same for every job, since they depend only on the table."""
    found = {}
    sandbox.set_faults()
    for file_format in sorted({file_format for _, _, file_format in MATRIX}):
        output = tmp_path_factory.mktemp(file_format)
        assert sandbox.dap(*snapshot_arguments(output, file_format)).returncode == 0
        found[file_format] = sorted(files(output).values())
        assert len(found[file_format]) > 10
    return found


def fault_rule(kind: str, share: int) -> str:
    name, at, phases = kind.partition("@")
    word, *rest = name.split(":")
    return ":".join([word, f"{share}%", *rest]) + at + phases


@pytest.mark.parametrize(("kind", "share", "file_format"), MATRIX)
def test_a_fault_never_leads_to_a_wrong_file(
    sandbox: SandboxProcess, expected: dict[str, list[bytes]], tmp_path: Path, kind: str, share: int, file_format: str
) -> None:
    sandbox.reset()
    sandbox.set_faults(fault_rule(kind, share))
    try:
        done = sandbox.dap(*snapshot_arguments(tmp_path, file_format), "--json")
        met = sandbox.traffic()["faults"]
    finally:
        sandbox.set_faults()
    assert share < 50 or met, "the fault never happened"
    assert "Traceback" not in done.stderr
    assert set(files(tmp_path).values()) <= set(expected[file_format]), "a wrong file under a final name"
    if files(tmp_path):
        assert verify(tmp_path).problems == ()
    if done.returncode == 0:
        assert len(json.loads(done.stdout)["tables"]) == 5
        assert not list(tmp_path.rglob("*.part"))
    else:
        assert done.returncode < 64
        again = sandbox.dap(*snapshot_arguments(tmp_path, file_format))
        assert again.returncode == 0, again.stderr
        assert verify(tmp_path).problems == ()
    assert sorted(files(tmp_path).values()) == expected[file_format]


@pytest.mark.parametrize("algorithm", ["crc32c", "crc64nvme"])
def test_a_flipped_bit_is_detected_with_every_checksum_of_the_store(
    expected: dict[str, list[bytes]], tmp_path: Path, algorithm: str
) -> None:
    """In Parquet files nothing else would detect it."""
    output = tmp_path / "output"
    with sandbox_process(tmp_path, checksum=algorithm) as sandbox:
        sandbox.set_faults("corrupt:x10")
        done = sandbox.dap(*snapshot_arguments(output, "parquet"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["refetched_bytes"] > 0
    assert sorted(files(output).values()) == expected["parquet"]
    assert all("checksum" in table["verified_by"] for table in json.loads(done.stdout)["tables"])
