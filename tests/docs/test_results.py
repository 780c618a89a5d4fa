"""The JSON results of the commands have exactly the fields that the documentation lists."""

import shlex
from pathlib import Path

import msgspec
import pytest

from dapkit.cli.main import main
from docs import results

FILES = "--namespace catalog --table accounts --output-directory out"
DATABASE = "--namespace catalog --table accounts"
OF_FILES: dict[str, object] = {
    "list --namespace catalog": tuple[str, ...],
    f"schema {FILES}": results.Schemas,
    "describe canvas.courses": results.Describe,
    "describe edge.nested": results.Describe,
    f"snapshot {FILES} --dry-run": results.ExportPreview,
    f"snapshot {FILES}": results.Export,
    f"incremental {FILES} --since out --dry-run": results.ExportPreview,
    f"incremental {FILES} --since out": results.Export,
    f"snapshot {FILES} --flat csv": results.Export,
    "results out": results.FolderResults,
    "verify out": results.Verify,
    "prune out --keep 1": results.Prune,
    "prune out --stage": results.PruneStage,
}
OF_DATABASES: dict[str, object] = {
    f"sync {DATABASE} --to duckdb:college.duckdb --dry-run": tuple[results.PlannedTable, ...],
    f"sync {DATABASE} --to duckdb:college.duckdb": results.Sync,
    f"syncdb {DATABASE} --connection-string duckdb:college.duckdb": results.Sync,
    "listdb --namespace catalog --connection-string duckdb:college.duckdb": tuple[results.ListedTable, ...],
    f"reconcile {DATABASE} --to duckdb:college.duckdb": results.Reconcile,
    f"dropdb {DATABASE} --connection-string duckdb:college.duckdb": results.Drop,
    f"initdb {DATABASE} --connection-string duckdb:college.duckdb": results.Sync,
}


@pytest.mark.parametrize(
    "cases", [pytest.param(OF_FILES, id="files"), pytest.param(OF_DATABASES, id="databases", marks=pytest.mark.slow)]
)
def test_results_have_the_documented_fields(
    cases: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAP_SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAP_SANDBOX_SCALE", "0.02")
    monkeypatch.setenv("DAP_SANDBOX_JOB_SECONDS", "0")
    for line, kind in cases.items():
        sandbox = [] if line.startswith(("verify", "results", "prune")) else ["--sandbox"]
        status = main([*shlex.split(line), *sandbox, "--json", "--quiet"])
        output, errors = capsys.readouterr()
        assert status == 0, f"{line}: {errors}"
        assert output.isascii(), line
        try:
            msgspec.json.decode(output, type=kind)
        except msgspec.ValidationError as error:
            pytest.fail(f"dap {line}: {error}")


def test_errors_and_reports_of_problems_have_the_documented_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAP_SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAP_SANDBOX_JOB_SECONDS", "0")

    assert main(shlex.split("doctor --sandbox --json --quiet")) in {0, 48}
    msgspec.json.decode(capsys.readouterr().out, type=results.Doctor)

    assert main(shlex.split("schema --namespace catalog --table nothing --sandbox --json --quiet")) == 30
    msgspec.json.decode(capsys.readouterr().err.splitlines()[-1], type=results.Error)

    (tmp_path / "out" / "job_1").mkdir(parents=True)
    (tmp_path / "out" / "job_1" / ".manifest.json").write_text("{}", encoding="utf-8")
    assert main(shlex.split("verify out --json --quiet")) == 46
    found = msgspec.json.decode(capsys.readouterr().out, type=results.Verify)
    assert found.problems
