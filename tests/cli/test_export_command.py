"""`snapshot` and `incremental` with a fake engine: what is requested of it, and what is made of its result."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dapkit.cli import export_command, run_command
from dapkit.cli.console import Console
from dapkit.errors import AccountDisabledError, DapError, OutputError, ServerError
from dapkit.events import Listener
from dapkit.export.options import ExportRequest
from dapkit.export.run import Preview
from dapkit.export.run_result import RunResult
from dapkit.model import Format, Mode, Query
from dapkit.results import TableResult

SNAPSHOT = ("snapshot", "--namespace", "canvas", "--table", "courses")
INCREMENTAL = ("incremental", "--namespace", "canvas", "--table", "courses", "--since")


class Engine:
    """The requests that the fake engine received, and its results."""

    def __init__(self) -> None:
        self.asked: list[ExportRequest] = []
        self.result: RunResult | Exception | None = None
        self.seen: Preview | None = None
        self.advanced = 0
        self.checked: DapError | None = None

    async def export(self, _session: object, options: ExportRequest, _listen: Listener) -> RunResult:
        self.asked.append(options)
        if isinstance(self.result, Exception):
            raise self.result
        assert self.result is not None
        return self.result

    async def preview(self, _session: object, options: ExportRequest) -> Preview:
        self.asked.append(options)
        assert self.seen is not None
        return self.seen

    def advance(self) -> None:
        self.advanced += 1

    def check(self) -> None:
        if self.checked is not None:
            raise self.checked

    @asynccontextmanager
    async def connect(self, *_: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(session=None, advance=self.advance, check=self.check)


@pytest.fixture
def engine(
    monkeypatch: pytest.MonkeyPatch, run_result: Callable[..., RunResult], table_result: Callable[..., TableResult]
) -> Engine:
    fake = Engine()
    fake.result = run_result([table_result()])
    monkeypatch.setattr(run_command, "connect", fake.connect)
    monkeypatch.setattr(export_command, "export", fake.export)
    monkeypatch.setattr(export_command, "preview", fake.preview)
    return fake


def test_the_example_of_the_official_client_has_the_same_meaning(engine: Engine, dap: Callable[..., Any]) -> None:
    assert dap(*SNAPSHOT).code == 0
    (asked,) = engine.asked
    assert asked == ExportRequest(
        namespace="canvas",
        tables=("courses",),
        output=Path("downloads"),
    )


@pytest.mark.parametrize("spelling", ["CSV", "Csv", "csv"])
def test_formats_are_case_insensitive(spelling: str, engine: Engine, dap: Callable[..., Any]) -> None:
    assert dap(*SNAPSHOT, "--format", spelling).code == 0
    assert engine.asked[0].query.format is Format.CSV


def test_every_option_is_passed_on(engine: Engine, dap: Callable[..., Any]) -> None:
    outcome = dap(
        *("snapshot", "--namespace", "canvas", "--table", "a, b,,a", "--table", "c*", "--exclude", "cat, cow"),
        *("--format", "Parquet", "--mode", "condensed", "--output-directory", "out", "--concurrency", "3"),
        *("--new", "--wait"),
    )
    assert outcome.code == 0
    assert engine.asked == [
        ExportRequest(
            namespace="canvas",
            tables=("a", "b", "c*"),
            exclude=("cat", "cow"),
            format=Format.PARQUET,
            mode=Mode.CONDENSED,
            output=Path("out"),
            concurrency=3,
            new=True,
            wait=True,
        )
    ]


def test_stdout_contains_only_results(engine: Engine, dap: Callable[..., Any]) -> None:
    outcome = dap(*SNAPSHOT)
    assert outcome.out == ""
    assert "1 table complete" in outcome.err
    assert "Look at" not in outcome.err, "stderr is no terminal"


def test_json_prints_one_object_on_stdout(engine: Engine, dap: Callable[..., Any]) -> None:
    outcome = dap(*SNAPSHOT, "--json", "--quiet")
    made = json.loads(outcome.out)
    assert (made["command"], made["status"], made["tables"][0]["table"]) == ("snapshot", "complete", "courses")
    assert outcome.err == ""


def test_failed_tables_determine_the_exit_code(
    engine: Engine,
    dap: Callable[..., Any],
    run_result: Callable[..., RunResult],
    table_result: Callable[..., TableResult],
) -> None:
    engine.result = run_result([table_result()], {"users": ServerError("It is 503", uuid="u-1")})
    outcome = dap(*SNAPSHOT, "--json")
    assert outcome.code == json.loads(outcome.out)["exit_code"] == 3
    assert "Failed: users: It is 503 [server]" in outcome.err
    assert json.loads(outcome.err.splitlines()[-1])["code"] == "partial-failure"
    assert engine.advanced == 0


def test_only_a_successful_run_advances_the_sandbox_clock(engine: Engine, dap: Callable[..., Any]) -> None:
    dap(*SNAPSHOT)
    assert engine.advanced == 1


def test_an_error_that_stops_the_run_is_reported_once(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.result = AccountDisabledError("The account is disabled.", uuid="u-9")
    outcome = dap(*SNAPSHOT)
    assert outcome.code == 12
    assert outcome.err.count("The account is disabled.") == 1
    assert "uuid for support: u-9" in outcome.err


def test_a_bug_is_reported_without_a_traceback(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.result = ZeroDivisionError("division by zero")
    outcome = dap(*SNAPSHOT)
    assert outcome.code == 1
    assert "Error: Unexpected ZeroDivisionError: division by zero" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in dap(*SNAPSHOT, "--loglevel", "debug").err


def preview_of(**fields: Any) -> Preview:
    defaults: dict[str, Any] = {
        "namespace": "canvas",
        "query": Query(format=Format.CSV),
        "tables": ("courses", "users"),
        "complete": (),
        "since": {},
        "resumed_age": None,
    }
    return Preview(**{**defaults, **fields})


def test_a_dry_run_shows_what_would_be_requested(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.seen = preview_of(complete=("users",), resumed_age=65.0)
    outcome = dap(*SNAPSHOT, "--dry-run")
    assert (outcome.code, outcome.out) == (0, "courses\n")
    assert "interrupted 1m 5s ago" in outcome.err
    assert "Already complete: users." in outcome.err
    assert engine.advanced == 0


def test_a_dry_run_shows_the_start_of_each_increment(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.seen = preview_of(since={"courses": "2026-09-01T00:00:00Z"})
    assert dap(*SNAPSHOT, "--dry-run").out == "courses\t2026-09-01T00:00:00Z\nusers\n"


def test_a_dry_run_says_which_tables_have_no_earlier_result(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.seen = preview_of(
        since={"courses": "2026-09-01T00:00:00Z"}, without_baseline=("users",), notices=("A manifest is damaged",)
    )
    outcome = dap(*SNAPSHOT, "--dry-run")
    assert outcome.out == "courses\t2026-09-01T00:00:00Z\nusers\tno earlier result\n"
    assert "Would request 1 table" in outcome.err
    assert "A manifest is damaged" in outcome.err
    assert json.loads(dap(*SNAPSHOT, "--dry-run", "--json").out)["no_earlier_result"] == ["users"]


def test_a_dry_run_shows_the_time_that_all_tables_start_at(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.seen = preview_of(query=Query(format=Format.JSONL, since="2026-09-01T00:00:00Z"))
    assert dap(*SNAPSHOT, "--dry-run").out == "courses\t2026-09-01T00:00:00Z\nusers\t2026-09-01T00:00:00Z\n"


def test_a_time_wins_over_a_folder_of_that_name(engine: Engine, dap: Callable[..., Any]) -> None:
    for name in ("2d", "yesterday", "2026-09-01T00:00:00Z"):
        Path(name).mkdir()
        assert dap(*INCREMENTAL, name, "--until", "today").code == 0
        assert dap(*INCREMENTAL, f"./{name}").code == 0
        time, folder = engine.asked[-2:]
        assert (time.since, time.since_folder, time.until) == (name, None, "today")
        assert (folder.since, folder.since_folder) == (None, Path(name))


def test_a_dry_run_can_be_printed_as_json(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.seen = preview_of(complete=("users",))
    made = json.loads(dap(*SNAPSHOT, "--dry-run", "--json").out)
    assert (made["status"], made["tables"], made["complete"]) == ("dry-run", ["courses", "users"], ["users"])


def test_since_can_be_a_time(engine: Engine, dap: Callable[..., Any]) -> None:
    outcome = dap(*INCREMENTAL, "2026-01-01T00:00:00.5Z", "--until", "2026-01-02T01:00:00+01:00")
    assert outcome.code == 0
    assert engine.asked[0].query == Query(
        format=Format.JSONL, since="2026-01-01T00:00:00.5Z", until="2026-01-02T00:00:00Z"
    )
    assert "time zone" not in outcome.err


def test_a_time_without_a_zone_is_local_and_reported_in_utc(engine: Engine, dap: Callable[..., Any]) -> None:
    local = datetime(2026, 1, 1).astimezone(UTC).isoformat().replace("+00:00", "Z")
    outcome = dap(*INCREMENTAL, "2026-01-01", "--until", "2026-01-02")
    assert engine.asked[0].query.since == local
    assert f"--since 2026-01-01 has no time zone and is taken as local time: {local}" in outcome.err
    assert "--until 2026-01-02 has no time zone" in outcome.err


def test_a_clock_that_cannot_be_stored_is_an_error_before_any_work(engine: Engine, dap: Callable[..., Any]) -> None:
    engine.checked = OutputError("The clock cannot be written")
    assert dap(*SNAPSHOT).code == 42
    assert engine.asked == []


def test_a_deleted_current_folder_does_not_prevent_the_summary(
    engine: Engine, dap: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr(Console, "width", 80)
    outcome = dap(*SNAPSHOT)
    monkeypatch.chdir(tmp_path)
    assert outcome.code == 0
    assert "Look at courses" in outcome.err


def test_notices_are_in_the_json(engine: Engine, dap: Callable[..., Any]) -> None:
    made = json.loads(dap(*INCREMENTAL, "2026-01-01", "--json").out)
    assert [notice.split()[0] for notice in made["notices"]] == ["--since"]


@pytest.mark.parametrize("flags", [("--quiet",), ("--no-log-to-console", "--non-interactive")])
def test_scheduler_options_silence_success_but_not_failure(
    flags: tuple[str, ...],
    engine: Engine,
    dap: Callable[..., Any],
    run_result: Callable[..., RunResult],
    table_result: Callable[..., TableResult],
) -> None:
    success = dap(*SNAPSHOT, *flags)
    assert (success.code, success.out, success.err) == (0, "", "")
    engine.result = run_result([table_result()], {"users": ServerError("It is 503")})
    failure = dap(*SNAPSHOT, *flags)
    assert failure.code == 3
    assert failure.err.splitlines()[0] == "Failed: users: It is 503 [server]"
    assert failure.err.count("It is 503") == failure.err.count("users") == 1


def test_since_can_be_a_folder(engine: Engine, dap: Callable[..., Any], tmp_path: Path) -> None:
    assert dap(*INCREMENTAL, str(tmp_path)).code == 0
    (asked,) = engine.asked
    assert (asked.since_folder, asked.query.since) == (tmp_path, None)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((*INCREMENTAL, "tomorrow"), "neither a time nor a folder"),
        ((*INCREMENTAL, "2026-13-01"), "--since '2026-13-01' is not a time: there is no month 13"),
        ((*INCREMENTAL, "2d", "--until", "2026-02-30"), "for --until: 2026-02 has no day 30"),
        ((*INCREMENTAL, ""), "--since is empty"),
        ((*INCREMENTAL, "2026-01-02", "--until", "2026-01-01"), "later than"),
        ((*INCREMENTAL, "2026-01-02", "--until", "soon"), "--until"),
        (("incremental", "--namespace", "canvas", "--table", "a"), "--since"),
        (("snapshot", "--namespace", "canvas", "--table", ""), "table"),
        (("snapshot", "--namespace", "canvas", "--table", " , "), "table"),
        (("snapshot", "--namespace", "canvas"), "--table"),
        (("snapshot", "--table", "a"), "--namespace"),
        (("snapshot", "--namespace", "", "--table", "a"), "--namespace"),
        ((*SNAPSHOT, "--format", "xml"), "jsonl"),
        ((*SNAPSHOT, "--mode", "flat"), "expanded"),
        ((*SNAPSHOT, "--concurrency", "0"), "--concurrency"),
        ((*SNAPSHOT, "--pace", "fast"), "Invalid --pace 'fast'"),
        ((*SNAPSHOT, "--formt", "csv"), "--format"),
        (("--sandbox", *SNAPSHOT, "--base-url", "https://x"), "--sandbox"),
        ((*SNAPSHOT, "--sandbox-scale", "2"), "--sandbox-scale"),
        (("--sandbox", *SNAPSHOT, "--sandbox-scale", "nan"), "--sandbox-scale"),
        (("--sandbox", *SNAPSHOT, "--sandbox-job-seconds", "inf"), "--sandbox-job-seconds"),
        ((*SNAPSHOT, "--retry-timeout", "nan"), "--retry-timeout"),
        ((*SNAPSHOT, "--read-timeout", "inf"), "--read-timeout"),
    ],
)
def test_invalid_arguments_are_usage_errors(
    arguments: tuple[str, ...], word: str, engine: Engine, dap: Callable[..., Any]
) -> None:
    outcome = dap(*arguments)
    assert outcome.code == 2
    assert word in outcome.err
    assert outcome.out == ""
    assert engine.asked == []
