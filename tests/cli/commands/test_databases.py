"""`sync`, `initdb`, `syncdb`, `listdb` and `dropdb`, from arguments to exit code, with a DuckDB file."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dapkit.cli.commands.listdb import result_sentence, staleness
from dapkit.client.session import Session
from dapkit.errors import LockedError, TableNotFoundError, TargetError, TargetUnreachableError
from dapkit.replication.managed_tables import DropResult
from dapkit.replication.options import SyncRequest
from dapkit.targets.duckdb import target as duckdb_target
from dapkit.targets.duckdb.target import duckdb_file
from dapkit.targets.sql.session import SqlTargetSession
from dapkit.targets.sql.target import FileTarget

Dap = Callable[..., Any]


def listed(db: Dap) -> list[dict[str, Any]]:
    """Return the tables that are managed by dapkit."""
    lines: list[dict[str, Any]] = json.loads(db("listdb", "--omit-not-replicated", "--json").out)
    return lines


def test_initial_load_updates_and_drop(db: Dap) -> None:
    assert db("syncdb").code == 58
    first = db("initdb", "--json")
    made = json.loads(first.out)
    assert (first.code, made["command"], made["sandbox"]) == (0, "initdb", True)
    assert [(table["table"], table["action"]) for table in made["tables"]] == [
        ("users", "initial-load"), ("courses", "initial-load"),
    ]  # fmt: skip
    assert db("initdb").code == 59
    assert db("syncdb", tables="users").code == 0
    assert db("sync", tables="courses,wikis").code == 0
    listed = json.loads(db("listdb", "--omit-not-replicated", "--json").out)
    assert [(line["name"], line["command"]) for line in listed] == [
        ("courses", "syncdb"), ("users", "syncdb"), ("wikis", "syncdb"),
    ]  # fmt: skip
    assert all(line["records"] > 0 for line in listed)
    assert db("dropdb", tables="all").code == 0
    assert json.loads(db("listdb", "--omit-not-replicated", "--json").out) == []


def test_tables_that_are_not_in_the_database_are_listed_with_nulls(loaded: Dap) -> None:
    db = loaded
    lines = {line["name"]: line for line in json.loads(db("listdb", "--non-interactive").out)}
    assert lines["wikis"] == {
        "name": "wikis", "timestamp": None, "staleness": None, "schema": None, "command": "initdb", "records": None,
    }  # fmt: skip
    shown = db("listdb", "--omit-record-count").out.splitlines()
    assert " ".join(shown[0].split()) == "name data as of staleness schema use command size last result"
    assert len(shown) == len(lines) + 1


def test_a_dry_run_changes_nothing(db: Dap) -> None:
    outcome = db("sync", "--dry-run", tables="users")
    assert outcome.code == 0
    assert outcome.out.startswith('users\tinitial-load\n  CREATE TABLE "canvas"."users"')
    assert json.loads(db("sync", "--dry-run", "--json", tables="users").out)[0]["action"] == "initial-load"
    assert json.loads(db("listdb", "--omit-not-replicated", "--json").out) == []


def test_recently_updated_tables_are_skipped(loaded: Dap) -> None:
    made = json.loads(loaded("sync", "--if-stale", "100000d", "--json").out)
    assert {table["action"] for table in made["tables"]} == {"skip"}


def test_a_table_that_if_stale_skips_is_not_called_unchanged(loaded: Dap) -> None:
    planned = loaded("sync", "--if-stale", "40d", "--dry-run", tables="users")
    assert "skip since 2026-09-01T00:00:00Z, younger than 40d" in planned.out
    outcome = loaded("sync", "--if-stale", "40d", "--non-interactive", tables="users")
    assert "users: skipped, younger than 40d, at 2026-09-01T00:00:00Z" in outcome.err
    assert "1 table up to date, 1 skipped (younger than 40d)" in outcome.err
    assert "nothing new" not in outcome.err


@pytest.mark.parametrize("words", [(), ("--json",), ("--non-interactive",)])
def test_a_database_without_tables_of_the_namespace_is_reported_on_stderr(db: Dap, words: tuple[str, ...]) -> None:
    outcome = db("listdb", "--omit-not-replicated", *words)
    assert (outcome.code, outcome.out) == (0, "[]\n" if words else "")
    assert "No table of canvas is in duckdb:" in outcome.err


def test_an_empty_variable_counts_as_unset(db: Dap, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAP_API_URL", "DAP_TRACKING", "DAP_PACE", "DAP_RETRY_TIMEOUT", "DAP_CLIENT_SECRET_FILE", "DAP_SCOPE"):
        monkeypatch.setenv(name, " ")
    monkeypatch.setenv("DAP_STAGE", "")
    assert db("sync", tables="users").code == 0


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("sync", "--to", "oracle:x"), "oracle"),
        (("sync", "--to", "nonsense"), "database"),
        (("sync", "--to", "duckdb:"), "file"),
        (("sync", "--if-stale", "soon"), "soon"),
        (("sync", "--if-stale", "1000000d"), "1,000,000 days"),
        (("sync", "--if-stale", "\N{SUPERSCRIPT TWO}d"), "90m, 4h or 1d"),
        (("sync", "--expire-logs", "400d"), "canvas_logs"),
        (("sync", "--on-bad-value", "ignore"), "--on-bad-value"),
    ],
)
def test_invalid_arguments(db: Dap, words: tuple[str, ...], word: str) -> None:
    outcome = db(*words)
    assert outcome.code == 2
    assert word in outcome.err


@pytest.mark.parametrize("command", ["sync", "initdb", "syncdb", "reconcile", "listdb", "dropdb"])
@pytest.mark.parametrize("option", ["--to", "--connection-string"])
def test_every_command_accepts_both_names_of_the_database(
    db: Dap, monkeypatch: pytest.MonkeyPatch, command: str, option: str
) -> None:
    monkeypatch.delenv("DAP_CONNECTION_STRING")
    outcome = db(command, option, "oracle:x", *(("--yes",) if command == "dropdb" else ()))
    assert outcome.code == 2
    assert "Unsupported database type 'oracle'" in outcome.err


@pytest.mark.parametrize("words", [("--to", "duckdb:a", "--connection-string", "duckdb:b"), ("--to", "duckdb:a") * 2])
def test_two_databases_are_a_usage_error(db: Dap, words: tuple[str, ...]) -> None:
    outcome = db("sync", *words)
    assert outcome.code == 2
    assert "More than one database" in outcome.err


def test_a_missing_folder_of_a_duckdb_file_is_named(db: Dap, tmp_path: Path) -> None:
    outcome = db("sync", "--to", f"duckdb:{tmp_path}/missing/college.duckdb", tables="users")
    assert f"the folder {tmp_path}/missing does not exist" in " ".join(outcome.err.split())
    assert not (tmp_path / "missing").exists()


def test_temp_dir_is_the_staging_folder(db: Dap, tmp_path: Path) -> None:
    assert db("sync", "--temp-dir", str(tmp_path / "scratch"), tables="users").code == 0
    assert (tmp_path / "scratch").is_dir()


def test_without_a_database_the_error_says_how_to_name_one(db: Dap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAP_CONNECTION_STRING")
    outcome = db("sync")
    assert outcome.code == 2
    assert "DAP_CONNECTION_STRING" in outcome.err


def test_a_file_that_is_not_a_database_is_not_changed(db: Dap, tmp_path: Path) -> None:
    (tmp_path / "college.duckdb").write_text("mine" * 5000)
    outcome = db("sync")
    assert outcome.code == 51
    assert (tmp_path / "college.duckdb").read_text() == "mine" * 5000


def test_if_one_table_does_not_exist_nothing_is_dropped(loaded: Dap) -> None:
    for words in ((), ("--include-unmanaged",)):
        outcome = loaded("dropdb", *words, tables="users,wikis")
        assert outcome.code == 58
        assert "Nothing was dropped" in outcome.err
        assert "initdb" not in outcome.err, "that hint is about loading"
    assert [line["name"] for line in listed(loaded)] == ["courses", "users"]


def test_a_half_loaded_table_is_reloaded_with_repair(loaded: Dap, file: Path) -> None:
    db = loaded
    with duckdb.connect(str(file)) as connection:
        connection.execute("DELETE FROM instructure_dap.table_sync")
        connection.execute("DELETE FROM canvas.users WHERE id % 2 = 0")
    rejected = db("sync", tables="users")
    assert rejected.code == 53
    assert "--repair" in rejected.err
    repaired = json.loads(db("sync", "--repair", "--json", tables="users").out)
    assert repaired["tables"][0]["action"] == "repair"
    assert db("reconcile", "--no-sync", tables="users").code == 0


def test_dropping_all_of_nothing_succeeds(loaded: Dap) -> None:
    assert set(json.loads(loaded("dropdb", "--json", tables="all").out)["dropped"]) == {"courses", "users"}
    again = loaded("dropdb", "--json", tables="all")
    assert (again.code, json.loads(again.out)["dropped"]) == (0, [])


def test_a_table_that_cannot_be_dropped_does_not_stop_the_others(loaded: Dap, monkeypatch: pytest.MonkeyPatch) -> None:
    db = loaded
    db("sync", tables="wikis")
    drop = SqlTargetSession.drop

    def rejecting(self: SqlTargetSession, namespace: str, table: str) -> None:
        if table == "courses":
            raise TargetError("a view depends on it")
        drop(self, namespace, table)

    monkeypatch.setattr(SqlTargetSession, "drop", rejecting)
    outcome = db("dropdb", "--json", tables="users,courses,wikis")
    made = json.loads(outcome.out)
    assert (outcome.code, made["exit_code"], made["dropped"]) == (3, 3, ["users", "wikis"])
    assert [(each["table"], each["code"]) for each in made["failed"]] == [("courses", "target")]
    assert "2 tables dropped" in outcome.err
    assert "users, wikis" in outcome.err
    assert [line["name"] for line in listed(db)] == ["courses"]
    alone = db("dropdb", tables="courses")
    assert alone.code == 50
    assert "a view depends on it" in alone.err


def test_no_more_tables_are_tried_once_the_database_is_unreachable(
    loaded: Dap, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def unreachable(_: SqlTargetSession, __: str, table: str) -> None:
        tried.append(table)
        raise TargetUnreachableError("the server does not respond")

    monkeypatch.setattr(SqlTargetSession, "drop", unreachable)
    outcome = loaded("dropdb", "--json")
    assert (outcome.code, tried) == (51, ["users"])
    assert [each["table"] for each in json.loads(outcome.out)["failed"]] == ["users", "courses"]


def test_an_unmanaged_table_is_dropped_only_if_it_is_named_and_that_is_wanted(loaded: Dap, file: Path) -> None:
    db = loaded
    with duckdb.connect(str(file)) as connection:
        connection.execute("DELETE FROM instructure_dap.table_sync WHERE source_table = 'users'")
        connection.execute("CREATE VIEW canvas.seen AS FROM canvas.users")
    rejected = db("dropdb", tables="courses,users")
    assert rejected.code == 58
    assert "users is not managed by dapkit" in rejected.err
    assert "--include-unmanaged" in rejected.err
    assert db("dropdb", "--yes", tables="users").code == 58, "it only means that nothing is asked"
    assert db("dropdb", "--include-unmanaged", tables="courses,seen").code == 53, "a view is not a table"
    assert db("dropdb", "--include-unmanaged", tables="user*").code == 2, "a pattern selects managed tables only"
    assert [line["name"] for line in listed(db)] == ["courses"]
    assert json.loads(db("dropdb", "--include-unmanaged", "--json", tables="courses,users").out)["dropped"] == [
        "courses",
        "users",
    ]
    with duckdb.connect(str(file)) as connection:
        assert connection.sql("FROM duckdb_tables() WHERE schema_name = 'canvas'").fetchall() == []
    sync_states = db("dropdb", "--include-unmanaged", "--namespace", "instructure_dap", tables="table_sync")
    assert sync_states.code == 58


def test_a_manually_dropped_table_is_reported_and_loaded_again(loaded: Dap, file: Path) -> None:
    db = loaded
    with duckdb.connect(str(file)) as connection:
        connection.execute("DROP TABLE canvas.users")
    rows = {line["name"]: line for line in listed(db)}
    assert (rows["users"]["command"], rows["users"]["records"]) == ("initdb", None)
    assert (rows["courses"]["command"], rows["courses"]["records"] > 0) == ("syncdb", True)
    rejected = db("syncdb", tables="users")
    assert rejected.code == 58
    assert "no longer in the database" in rejected.err
    assert "CREATE TABLE" in db("sync", "--dry-run", tables="users").out
    assert db("sync", tables="users").code == 0
    assert {line["name"]: line["command"] for line in listed(db)} == {"users": "syncdb", "courses": "syncdb"}


@pytest.mark.parametrize("answer", [True, False])
def test_dropdb_asks_for_confirmation_on_a_terminal(db: Dap, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    asked: list[str] = []
    dropped: list[tuple[str, ...]] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer

    def drop(target: FileTarget, namespace: str, tables: tuple[str, ...], **_: object) -> DropResult:
        dropped.append(tables)
        return DropResult(namespace=namespace, target=target.name, done=tables)

    monkeypatch.setattr("dapkit.cli.commands.dropdb.drop_tables", drop)
    monkeypatch.setattr("dapkit.cli.commands.dropdb.is_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    assert db("dropdb", tables="users").code == (0 if answer else 130)
    assert "users" in asked[0]
    assert dropped == ([("users",)] if answer else [])
    for words in (("--yes",), ("--non-interactive",)):
        assert db("dropdb", *words, tables="users").code == 0
    assert (len(asked), len(dropped)) == (1, 3 if answer else 2)


def test_the_non_interactive_list_equals_that_of_the_official_client(loaded: Dap) -> None:
    db = loaded
    line, _ = json.loads(db("listdb", "--omit-not-replicated", "--non-interactive").out)
    assert list(line) == ["name", "timestamp", "staleness", "schema", "command", "records"]
    line, _ = json.loads(db("listdb", "--omit-not-replicated", "--omit-record-count", "--non-interactive").out)
    assert list(line) == ["name", "timestamp", "staleness", "schema", "command"]


def test_the_list_shows_size_last_result_and_extra_columns(loaded: Dap, file: Path) -> None:
    db = loaded
    _, line = listed(db)
    assert line["bytes"] > 0
    assert line["kept_columns"] == []
    last = line["last_result"]
    assert (last["event"], last["written"], last["code"]) == ("initial-load", line["records"], None)
    with duckdb.connect(str(file)) as connection:
        connection.execute("ALTER TABLE canvas.users ADD COLUMN mine INTEGER")
        failed = '{"code": "out-of-range", "message": "too long ago"}'
        connection.execute(
            "INSERT INTO instructure_dap.dapkit_history VALUES"
            f" (now() AT TIME ZONE 'UTC', 'canvas', 'users', 'failed', '{failed}')"
        )
    shown = db("listdb", "--omit-not-replicated")
    assert shown.out.splitlines()[2].endswith("failed: out-of-range, just now")
    assert "users has columns that its schema does not have: mine" in shown.err
    _, line = listed(db)
    assert line["kept_columns"] == ["mine"]
    assert (line["last_result"]["code"], line["last_result"]["message"]) == ("out-of-range", "too long ago")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (59.9, "59s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (11_100, "3h 5m"), (3601, "1h"),
        (86_400, "1d"), (190_000, "2d 4h"), (-5, "0s"),
    ],
)  # fmt: skip
def test_staleness_is_written_as_the_official_client_does(seconds: float, text: str) -> None:
    assert staleness(seconds) == text


@pytest.mark.parametrize(
    ("more", "seconds", "text"),
    [
        (
            {"event": "incremental", "written": 1204, "deleted": 3},
            7300,
            "incremental, 1,204 written, 3 deleted, 2 h ago",
        ),
        ({"event": "full-refresh", "written": 0, "deleted": 2}, 100, "full-refresh, 2 deleted, 1 min ago"),
        ({"event": "failed", "code": "out-of-range"}, 18_000, "failed: out-of-range, 5 h ago"),
        ({"event": "skip"}, 200_000, "skip, 2 d ago"),
        ({"event": "odd", "written": "many"}, -3, "odd, just now"),
    ],
)
def test_the_last_result_in_words(more: dict[str, Any], seconds: float, text: str) -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    at = (now - timedelta(seconds=seconds)).isoformat()
    last = {"at": at, "written": None, "deleted": None, "code": None, "message": None} | more
    assert result_sentence(last, now) == text


def test_without_a_home_folder_the_staging_folder_must_be_set(db: Dap, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert db("initdb", tables="wikis").code == 0
    monkeypatch.delenv("DAP_STAGE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    rejected = db("syncdb", tables="wikis")
    assert rejected.code == 2
    assert "--stage or DAP_STAGE" in rejected.err


def test_quiet_silences_success_but_not_failure(db: Dap) -> None:
    silent = ("--no-log-to-console", "--non-interactive")
    done = db("sync", *silent, tables="wikis")
    assert (done.code, done.out, done.err) == (0, "", "")
    failed = db("sync", *silent, tables="wikis,nix")
    assert failed.code == 3
    assert "Failed: nix" in failed.err


def at(folder: Path, moment: str) -> None:
    (folder / "home" / "clock.json").write_text(json.dumps({"data_time": moment}))


def test_logs_expire_with_expire_logs(db: Dap, tmp_path: Path) -> None:
    logs = {"namespace": "canvas_logs", "tables": "all"}
    db("sync", **logs)
    assert db("sync", "--expire-logs", "30d", **logs).code == 2
    at(tmp_path, "2026-09-20T00:00:00Z")
    planned = db("sync", "--expire-logs", "31d", "--dry-run", **logs)
    assert planned.out == "web_logs\tincremental since 2026-09-01T00:00:00Z, rows before 2026-08-01T00:00:00Z expire\n"
    (table,) = json.loads(db("sync", "--expire-logs", "31d", "--dry-run", "--json", **logs).out)
    assert table["expire_before"] == "2026-08-01T00:00:00Z"
    done = db("sync", "--expire-logs", "31d", "--json", **logs)
    made = json.loads(done.out)
    (table,) = made["tables"]
    assert (done.code, table["deleted"], made["no_longer_in_service"]) == (0, 0, [])
    assert table["expired"] > 0
    assert f"{table['expired']:,} expired" in done.err


def test_stale_logs_are_reported(db: Dap, tmp_path: Path) -> None:
    logs = {"namespace": "canvas_logs", "tables": "web_logs"}
    db("sync", **logs)
    listing = ("listdb", "--omit-not-replicated", "--json")
    assert db(*listing, namespace="canvas_logs").err == ""
    at(tmp_path, "2026-09-24T00:00:00Z")
    listed = db(*listing, namespace="canvas_logs")
    assert "23 days ago" in listed.err
    assert json.loads(listed.out)[0]["staleness"] == "23d"
    assert "23 days ago" in db("sync", **logs).err
    assert db(*listing, namespace="canvas_logs").err == ""


@pytest.mark.parametrize("verb", ["sync", "syncdb"])
def test_a_table_that_the_service_no_longer_has_is_reported(
    loaded: Dap, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    db = loaded

    async def tables(*_: object) -> tuple[str, ...]:
        return ("courses",)

    monkeypatch.setattr(Session, "tables", tables)
    result = db(verb, "--json", tables="all")
    made = json.loads(result.out)
    assert (result.code, [table["table"] for table in made["tables"]]) == (0, ["courses"])
    assert made["no_longer_in_service"] == [{"table": "users", "watermark": "2026-09-01T00:00:00Z"}]
    notice = "users is no longer offered by the service"
    assert notice in result.err
    planned = db(verb, "--dry-run", "--json", tables="all")
    assert [table["table"] for table in json.loads(planned.out)] == ["courses"]
    assert notice in planned.err


@pytest.mark.parametrize("words", [(), ("--no-sync",)])
def test_a_table_that_the_service_no_longer_has_is_not_compared(
    loaded: Dap, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    db = loaded
    submit = Session.submit

    async def tables(*_: object) -> tuple[str, ...]:
        return ("courses",)

    async def rejecting(self: Session, namespace: str, table: str, *rest: Any, **more: Any) -> Any:
        if table == "users":
            raise TableNotFoundError("The service knows no table 'users'")
        return await submit(self, namespace, table, *rest, **more)

    monkeypatch.setattr(Session, "tables", tables)
    monkeypatch.setattr(Session, "submit", rejecting)
    result = db("reconcile", "--json", *words, tables="all")
    made = json.loads(result.out)
    assert (result.code, [table["table"] for table in made["tables"]], made["failed"]) == (0, ["courses"], [])
    assert made["no_longer_in_service"] == [{"table": "users", "watermark": "2026-09-01T00:00:00Z"}]
    assert result.err.count("users is no longer offered by the service") == 1
    only = json.loads(db("reconcile", "--json", *words, tables="use*").out)
    assert (only["exit_code"], only["tables"], [table["table"] for table in only["no_longer_in_service"]]) == (
        0,
        [],
        ["users"],
    )
    named = db("reconcile", "--json", *words, tables="users")
    (failed,) = json.loads(named.out)["failed"]
    assert (named.code, failed["code"]) == (30, "table-not-found")
    assert "It stays in the database as of" in failed["hint"]


def test_a_dry_run_shows_the_warning_of_a_target(db: Dap, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_warning(url: str) -> FileTarget:
        return replace(duckdb_file(Path(url.removeprefix("duckdb:"))), warning="Try it on a copy.")

    monkeypatch.setattr(duckdb_target, "target_of", with_warning)
    assert "Try it on a copy." in db("sync", "--dry-run", tables="users").err


@pytest.mark.parametrize("verb", ["sync", "initdb", "syncdb", "reconcile"])
def test_wait_is_passed_on(db: Dap, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    asked: list[SyncRequest] = []

    async def stopping(_: object, options: SyncRequest, *__: object, **___: object) -> None:
        asked.append(options)
        raise LockedError("busy")

    monkeypatch.setattr("dapkit.cli.sync_command.replicate", stopping)
    monkeypatch.setattr("dapkit.cli.commands.reconcile.reconcile", stopping)
    assert [db(verb, *words).code for words in ((), ("--wait",))] == [47, 47]
    assert [options.wait for options in asked] == [False, True]


@pytest.mark.parametrize("name", ["usrs", "usr*", "users,usrs"])
def test_an_exclusion_that_matches_no_table_is_a_usage_error(db: Dap, file: Path, name: str) -> None:
    for words in (("sync",), ("initdb",), ("sync", "--dry-run")):
        outcome = db(*words, "--exclude", name, tables="all")
        assert outcome.code == 2
        assert "which is to be excluded" in outcome.err
        assert "Did you mean users" in outcome.err or "*" in name
    assert not file.exists()


def test_an_exclusion_need_not_be_selected(db: Dap) -> None:
    made = json.loads(db("sync", "--exclude", "wikis,quiz*", "--json", tables="users").out)
    assert [table["table"] for table in made["tables"]] == ["users"]


def test_a_name_like_that_of_a_managed_table_is_suggested(loaded: Dap) -> None:
    outcome = loaded("dropdb", "--yes", tables="usrs")
    assert outcome.code == 58
    assert "Did you mean users" in outcome.err
