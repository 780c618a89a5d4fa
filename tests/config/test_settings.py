"""Settings from arguments, environment variables and defaults."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from dapkit.config.settings import (
    ClientOptions,
    commands_on_path,
    connection_settings,
    database_url,
    library_settings,
    read_settings,
    staging_root,
    user_cache_folder,
    user_state_folder,
)
from dapkit.errors import UsageError


@pytest.mark.parametrize(
    ("platform", "environ", "tail"),
    [
        ("linux", {"XDG_STATE_HOME": "/s"}, Path("/s/dapkit")),
        ("linux", {"XDG_STATE_HOME": "relative"}, Path(".local/state/dapkit")),
        ("linux", {}, Path(".local/state/dapkit")),
        ("darwin", {}, Path("Library/Application Support/dapkit")),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/dapkit")),
        ("win32", {}, Path("AppData/Local/dapkit")),
    ],
)
def test_the_state_folder_of_each_platform(platform: str, environ: dict[str, str], tail: Path) -> None:
    assert user_state_folder(environ, platform) == (tail if tail.is_absolute() else Path.home() / tail)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_without_a_home_folder_there_is_no_state_folder(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert user_state_folder({}, platform) is None
    assert user_cache_folder({}, platform) is None
    assert user_state_folder({"XDG_STATE_HOME": "/s"}, "linux") == Path("/s/dapkit")


def test_defaults() -> None:
    settings = read_settings({}, {})
    connection, messages = settings.connection, settings.messages
    assert connection.base_url == "https://api-gateway.instructure.com"
    assert (connection.pace, connection.sandbox) == (None, False)
    assert (connection.retry_timeout, connection.read_timeout) == (900.0, 60.0)
    assert (messages.log_level, messages.log_format, messages.theme) == (None, "plain", "dark")
    assert {messages.no_log_to_console, messages.non_interactive, messages.no_color, messages.quiet} == {False}


def test_options_take_precedence_over_the_environment() -> None:
    environ = {"DAP_API_URL": "https://env", "DAP_SCOPE": "env", "DAP_PACE": "9", "DAP_CONSOLE_THEME": "Light"}
    given = {"base_url": "https://flag", "scope": "flag", "pace": "none", "theme": "high-contrast-bw"}
    from_environment = read_settings({}, environ)
    from_options = read_settings(given, environ)
    assert from_environment.connection.base_url == "https://env"
    assert from_environment.connection.scope == "env"
    assert from_environment.connection.pace == "9"
    assert from_environment.messages.theme == "light"
    assert from_options.connection.base_url == "https://flag"
    assert from_options.connection.scope == "flag"
    assert from_options.connection.pace == "none"
    assert from_options.messages.theme == "high-contrast-bw"


@pytest.mark.parametrize(
    "name",
    ["DAP_API_URL", "DAP_SCOPE", "DAP_PACE", "DAP_CONSOLE_THEME", "DAP_TRACKING", "DAP_SANDBOX_SCALE", "NO_COLOR"],
)
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    for given in ({}, {"sandbox": True}):
        assert read_settings(given, {name: ""}) == read_settings(given, {})


@pytest.mark.parametrize(
    ("environ", "match"),
    [
        ({"DAP_TRACKING": "maybe"}, "DAP_TRACKING"),
        ({"DAP_PACE": "x"}, "DAP_PACE"),
        ({"DAP_PACE": "0"}, "DAP_PACE"),
        ({"DAP_PACE": "-3"}, "DAP_PACE"),
        ({"DAP_CONSOLE_THEME": "pink"}, "DAP_CONSOLE_THEME"),
        ({"DAP_SANDBOX_SCALE": "big"}, "DAP_SANDBOX_SCALE"),
        ({"DAP_SANDBOX_SCALE": "inf"}, "DAP_SANDBOX_SCALE"),
        ({"DAP_SANDBOX_SCALE": "0"}, "DAP_SANDBOX_SCALE"),
        ({"DAP_SANDBOX_SCALE": "nan"}, "DAP_SANDBOX_SCALE"),
        ({"DAP_SANDBOX_SEED": "1.5"}, "DAP_SANDBOX_SEED"),
        ({"DAP_SANDBOX_SEED": "-1"}, "DAP_SANDBOX_SEED"),
        ({"DAP_SANDBOX_JOB_SECONDS": "-1"}, "DAP_SANDBOX_JOB_SECONDS"),
        ({"DAP_RETRY_TIMEOUT": "nan"}, "DAP_RETRY_TIMEOUT has an invalid value: 'nan'"),
        ({"DAP_READ_TIMEOUT": "0"}, "DAP_READ_TIMEOUT"),
    ],
)
def test_an_invalid_variable_is_a_usage_error(environ: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        read_settings({"sandbox": True}, environ)


@pytest.mark.parametrize("value", ["true", "1", "YES", "on", "false", "0", "no", "Off"])
def test_tracking_is_accepted_in_all_its_official_spellings(value: str) -> None:
    read_settings({"no_tracking": True}, {"DAP_TRACKING": value})


def test_an_invalid_argument_names_its_source() -> None:
    with pytest.raises(UsageError, match=r"^pace has an invalid value: 'fast'"):
        read_settings({"pace": "fast"}, {"DAP_PACE": "none"})


def test_the_former_name_of_the_retry_timeout_is_accepted() -> None:
    assert read_settings({}, {"DAP_PATIENCE": "5"}).connection.retry_timeout == 5.0
    assert read_settings({}, {"DAP_PATIENCE": "5", "DAP_RETRY_TIMEOUT": "6"}).connection.retry_timeout == 6.0


def test_the_sandbox_excludes_a_base_url_but_ignores_the_variable_with_a_notice() -> None:
    with pytest.raises(UsageError, match="exclude"):
        read_settings({"sandbox": True, "base_url": "https://x"}, {})
    notices = read_settings({"sandbox": True}, {"DAP_API_URL": "https://x"}).notices
    assert any("DAP_API_URL" in notice for notice in notices)
    assert read_settings({}, {"DAP_API_URL": "https://x"}).notices == ()


def test_the_sandbox_is_configured_by_options_and_environment(tmp_path: Path) -> None:
    environ = {"DAP_SANDBOX_HOME": str(tmp_path), "DAP_SANDBOX_SCALE": "0.5", "DAP_SANDBOX_SEED": "3"}
    found = read_settings({"sandbox": True, "sandbox_seed": 4, "sandbox_job_seconds": 0.0}, environ).connection
    assert (found.sandbox_home, found.sandbox_scale, found.sandbox_seed, found.sandbox_job_seconds) == (
        tmp_path, 0.5, 4, 0.0,
    )  # fmt: skip


def test_in_the_library_the_variables_of_the_sandbox_do_not_apply() -> None:
    environ = {"DAP_SANDBOX_HOME": "/home", "DAP_SANDBOX_SCALE": "0.5", "DAP_SANDBOX_SEED": "x"}
    found = library_settings(ClientOptions(sandbox=True), environ)
    assert (found.sandbox_home, found.sandbox_scale, found.sandbox_seed, found.sandbox_job_seconds) == (
        None, 1.0, 1, 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"retry_timeout": -1.0}, "retry_timeout"),
        ({"read_timeout": math.inf}, "read_timeout"),
        ({"read_timeout": 0}, "read_timeout has an invalid value: 0"),
        ({"sandbox": True, "sandbox_scale": math.nan}, "sandbox_scale"),
    ],
)
def test_invalid_numbers_are_usage_errors(options: dict[str, Any], name: str) -> None:
    with pytest.raises(UsageError, match=name):
        library_settings(ClientOptions(**options), {})


@pytest.mark.parametrize(
    ("given", "environ", "secret"),
    [
        ({"client_secret": "flag", "client_secret_file": Path("f")}, {"DAP_CLIENT_SECRET": "env"}, "flag"),
        ({"client_secret": " flag\n"}, {}, "flag"),
        ({"client_secret_file": Path("f")}, {"DAP_CLIENT_SECRET": "env"}, Path("f")),
        ({"client_secret": "", "client_secret_file": Path("f")}, {}, Path("f")),
        ({}, {"DAP_CLIENT_SECRET": " env "}, "env"),
        ({}, {"DAP_CLIENT_SECRET": "env", "DAP_CLIENT_SECRET_FILE": "f"}, "env"),
        ({}, {"DAP_CLIENT_SECRET": "", "DAP_CLIENT_SECRET_FILE": "f"}, Path("f")),
        ({"client_secret": "flag"}, {"DAP_CLIENT_SECRET_FILE": "f"}, "flag"),
        ({}, {}, None),
    ],
)
def test_a_given_secret_or_file_takes_precedence_over_the_environment(
    given: dict[str, Any], environ: dict[str, str], secret: str | Path | None
) -> None:
    found = connection_settings(ClientOptions(client_id="id", **given), {"DAP_CLIENT_ID": "other", **environ})
    assert found.client_id == "id"
    assert (found.client_secret or found.client_secret_file) == secret
    assert found.client_secret is None or found.client_secret_file is None


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(connection_settings(ClientOptions(client_secret="hush"), {}))


def test_the_database_is_an_option_or_a_variable() -> None:
    parts = {"DAP_DATABASE_HOST": "h", "DAP_DATABASE_NAME": "a b", "DAP_DATABASE_USERNAME": "u@x"}
    more = {"DAP_DATABASE_PASSWORD": "p/", "DAP_DATABASE_PORT": "5433", "DAP_DATABASE_SSL": "require"}
    assert database_url("duckdb:a", {"DAP_CONNECTION_STRING": "duckdb:b"}) == "duckdb:a"
    assert database_url(None, {"DAP_CONNECTION_STRING": "duckdb:b", **parts}) == "duckdb:b"
    assert database_url(None, parts) == "postgresql://u%40x@h/a%20b"
    assert database_url(None, {**parts, **more}) == "postgresql://u%40x:p%2F@h:5433/a%20b?ssl=require"
    with pytest.raises(UsageError, match="No database"):
        database_url(None, {"DAP_DATABASE_HOST": "h"})


def test_the_staging_folder_is_an_option_a_variable_or_in_the_cache() -> None:
    assert staging_root("a", {"DAP_STAGE": "b"}) == Path("a")
    assert staging_root(None, {"DAP_STAGE": "b"}) == Path("b")
    assert staging_root(None, {"XDG_CACHE_HOME": "/c", "LOCALAPPDATA": "/c"}).name == "stage"


@pytest.mark.parametrize("name", ["sandbox_scale", "sandbox_seed", "sandbox_job_seconds"])
def test_sandbox_options_require_sandbox(name: str) -> None:
    with pytest.raises(UsageError, match="--sandbox-"):
        read_settings({name: 1}, {})


def test_the_environment_describes_the_terminal() -> None:
    assert read_settings({}, {"NO_COLOR": "1"}).messages.no_color
    assert read_settings({}, {"TERM": "Dumb"}).messages.dumb
    assert not read_settings({}, {"TERM": "xterm"}).messages.dumb


def test_commands_on_the_path_are_found_in_order(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    for folder in (folders[0], folders[2]):
        (folder / "dap").touch(mode=0o755)
    (folders[1] / "dap").touch(mode=0o644)
    path = ":".join(map(str, [*folders, folders[0], tmp_path / "none"]))
    assert commands_on_path("dap", {"PATH": path}) == (folders[0] / "dap", folders[2] / "dap")
    assert commands_on_path("dap", {}) == ()


def test_an_unreadable_folder_on_the_path_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.stat", fail)
    assert commands_on_path("dap", {"PATH": str(tmp_path)}) == ()


def test_without_a_home_folder_no_state_is_stored_and_the_sandbox_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("sys.platform", "linux")
    assert read_settings({}, {}).connection.state_folder is None
    settings = read_settings({"sandbox": True}, {})
    assert settings.connection.sandbox_home is None
    assert any("DAP_SANDBOX_HOME" in notice for notice in settings.notices)


def test_options_that_are_not_given_count_as_not_set() -> None:
    given: dict[str, Any] = {"base_url": None, "pace": None, "sandbox": False, "quiet": False, "json": False}
    assert read_settings(given, {}) == read_settings({}, {})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no HOME")
def test_an_empty_home_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    unset = user_state_folder({}, "linux")
    monkeypatch.setenv("HOME", "")
    assert user_state_folder({}, "linux") == unset
