"""Objects whose text is not as the service documents it: every file is kept; each oddity ends as the table says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process, snapshot_arguments

from dapkit.export.verify import verify
from dapkit.sandbox.data.oddities import ODDITIES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TABLES = {
    "no-meta": "accounts",
    "no-ts": "roles",
    "explicit-nulls": "enrollment_terms",
    "empty-object": "groups",
    "zero-bytes": "wikis",
    "bom": "course_sections",
    "crlf": "assignment_groups",
    "no-newline": "folders",
    "blank-lines": "context_modules",
    "not-utf8": "users",
    "nul": "quizzes",
    "half-surrogate": "courses",
    "short-line": "discussion_topics",
    "repeated-column": "wiki_pages",
    "unknown-column": "rubrics",
    "column-order": "enrollments",
}
"""An oddity in each of these tables, so that one command meets all of them."""

REPAIRED = ("not-utf8", "half-surrogate")
REJECTED = {"short-line": "malformed-file", "repeated-column": "malformed-file", "unknown-column": "integrity"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox_process(tmp_path_factory.mktemp("state")) as running:
        running.set_faults(*(f"{oddity}:{table}" for oddity, table in TABLES.items()))
        yield running


def test_every_oddity_is_tried() -> None:
    assert TABLES.keys() == ODDITIES.keys()


@pytest.mark.parametrize("file_format", ["tsv", "csv", "jsonl"])
def test_the_text_of_a_file_does_not_matter(sandbox: SandboxProcess, tmp_path: Path, file_format: str) -> None:
    command = snapshot_arguments(tmp_path, file_format, [*TABLES.values()])
    done = sandbox.dap(*command, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["refetched_bytes"] == 0
    assert all("length" in table["verified_by"] for table in result["tables"])
    rows = {table["table"]: table["rows"] for table in result["tables"]}
    assert [oddity for oddity, table in TABLES.items() if not rows[table]] == ["empty-object", "zero-bytes"]
    assert len(files(tmp_path)) == result["files"]
    assert verify(tmp_path).problems == ()
    assert json.loads(sandbox.dap(*command, "--json").stdout)["fetched_bytes"] == 0


def test_each_oddity_in_a_database(sandbox: SandboxProcess, tmp_path: Path) -> None:
    usual = sync(sandbox, tmp_path / "usual", faults=False)
    odd = sync(sandbox, tmp_path / "odd", faults=True)
    assert odd["failed"].keys() == {TABLES[oddity] for oddity in REJECTED}
    for oddity, table in TABLES.items():
        if oddity in REJECTED:
            failure = odd["failed"][table]
            assert failure["code"] == REJECTED[oddity]
            assert ".tsv.gz" in failure["message"]
            continue
        rows = 0 if oddity in ("empty-object", "zero-bytes") else usual["tables"][table]["written"]
        assert odd["tables"][table]["written"] == rows, oddity
        assert bool(odd["tables"][table]["repaired"]) is (oddity in REPAIRED)
    originals = [json.loads(line) for each in tmp_path.rglob("repaired/*") for line in each.read_text().splitlines()]
    assert {line["table"] for line in originals} == {TABLES[oddity] for oddity in REPAIRED}
    assert all(r"\xff" in line["value"] or r"\ud83d" in line["value"] for line in originals)


def sync(sandbox: SandboxProcess, folder: Path, *, faults: bool) -> dict[str, dict[str, Any]]:
    """Load the tables into a new database; return what succeeded and what failed, by table."""
    rules = [f"{oddity}:{table}" for oddity, table in TABLES.items()]
    sandbox.set_faults(*(rules if faults else ()))
    try:
        folder.mkdir()
        target = ["--to", f"duckdb:{folder}/college.duckdb", "--stage", str(folder / "stage")]
        done = sandbox.dap("sync", "--namespace", "canvas", "--table", ",".join(TABLES.values()), *target, "--json")
    finally:
        sandbox.set_faults(*rules)
    result = json.loads(done.stdout)
    return {name: {each["table"]: each for each in result[name]} for name in ("tables", "failed")}
