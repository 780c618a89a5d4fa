"""Options and environment, made into settings."""

from pathlib import Path
from typing import Any

import pytest

from dapkit.cli.settings import (
    other_commands,
    read_messages,
    read_settings,
)
from dapkit.config.settings import DEFAULT_URL
from dapkit.errors import UsageError
from dapkit.protocol.budget import NO_RATE_LIMIT, PUBLISHED_RATE_LIMIT, RateLimit


def test_without_anything_the_defaults_hold() -> None:
    settings = read_settings({}, {})
    assert settings.connection.base_url == DEFAULT_URL
    assert settings.connection.pace == PUBLISHED_RATE_LIMIT
    assert settings.connection.sandbox is None
    messages = settings.messages
    assert (messages.log_level, messages.log_format, messages.theme) == (None, "plain", "dark")
    assert messages.log_to_console
    assert messages.interactive
    assert messages.color
    assert not messages.quiet


def test_options_win_over_the_environment() -> None:
    environ = {"DAP_API_URL": "https://env", "DAP_SCOPE": "env", "DAP_PACE": "9", "DAP_CONSOLE_THEME": "Light"}
    given = {"base_url": "https://flag", "scope": "flag", "pace": "none", "console_theme": "high-contrast-bw"}
    from_environment = read_settings({}, environ)
    from_options = read_settings(given, environ)
    assert from_environment.connection.base_url == "https://env"
    assert from_environment.connection.scope == "env"
    assert from_environment.connection.pace == RateLimit(9)
    assert from_environment.messages.theme == "light"
    assert from_options.connection.base_url == "https://flag"
    assert from_options.connection.scope == "flag"
    assert from_options.connection.pace == NO_RATE_LIMIT
    assert from_options.messages.theme == "high-contrast-bw"


@pytest.mark.parametrize(
    "name",
    ["DAP_API_URL", "DAP_SCOPE", "DAP_PACE", "DAP_CONSOLE_THEME", "DAP_TRACKING", "DAP_SANDBOX_SCALE", "NO_COLOR"],
)
def test_an_empty_variable_is_none_at_all(name: str) -> None:
    in_sandbox = [read_settings({"sandbox": True}, environ).connection.sandbox for environ in ({}, {name: ""})]
    assert in_sandbox[0] == in_sandbox[1]
    before, after = read_settings({}, {}), read_settings({}, {name: ""})
    assert (before.connection.base_url, before.connection.scope, before.connection.pace, before.messages) == (
        after.connection.base_url,
        after.connection.scope,
        after.connection.pace,
        after.messages,
    )


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
        ({"DAP_RETRY_TIMEOUT": "nan"}, "DAP_RETRY_TIMEOUT"),
        ({"DAP_READ_TIMEOUT": "0"}, "DAP_READ_TIMEOUT"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_a_usage_error(environ: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        read_settings({"sandbox": True}, environ)


@pytest.mark.parametrize("value", ["true", "1", "YES", "on", "false", "0", "no", "Off"])
def test_tracking_is_accepted_in_all_its_official_spellings(value: str) -> None:
    read_settings({"no_tracking": True}, {"DAP_TRACKING": value})


def test_a_wrong_pace_names_its_source() -> None:
    with pytest.raises(UsageError, match="--pace"):
        read_settings({"pace": "fast"}, {"DAP_PACE": "none"})


def test_the_sandbox_has_no_pace_unless_asked() -> None:
    assert read_settings({"sandbox": True}, {}).connection.pace == NO_RATE_LIMIT
    assert read_settings({"sandbox": True}, {"DAP_PACE": "7"}).connection.pace == RateLimit(7)


def test_the_sandbox_excludes_a_base_url_but_ignores_the_variable_with_a_notice() -> None:
    with pytest.raises(UsageError, match="exclude"):
        read_settings({"sandbox": True, "base_url": "https://x"}, {})
    connection = read_settings({"sandbox": True}, {"DAP_API_URL": "https://x"}).connection
    assert any("DAP_API_URL" in notice for notice in connection.notices)
    assert read_settings({}, {"DAP_API_URL": "https://x"}).connection.notices == ()


def test_the_sandbox_takes_its_world_from_options_and_environment(tmp_path: Path) -> None:
    environ = {"DAP_SANDBOX_HOME": str(tmp_path), "DAP_SANDBOX_SCALE": "0.5", "DAP_SANDBOX_SEED": "3"}
    sandbox = read_settings(
        {"sandbox": True, "sandbox_seed": 4, "sandbox_job_seconds": 0.0}, environ
    ).connection.sandbox
    assert sandbox is not None
    assert (sandbox.home, sandbox.scale, sandbox.seed, sandbox.job_seconds) == (tmp_path, 0.5, 4, 0.0)


@pytest.mark.parametrize("name", ["sandbox_scale", "sandbox_seed", "sandbox_job_seconds"])
def test_options_of_the_sandbox_need_it(name: str) -> None:
    with pytest.raises(UsageError, match="--sandbox-"):
        read_settings({name: 1}, {})


def test_no_color_is_obeyed() -> None:
    assert not read_messages({}, {"NO_COLOR": "1"}).color


def test_commands_on_the_path_are_found_in_order(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    for folder in (folders[0], folders[2]):
        (folder / "dap").touch(mode=0o755)
    (folders[1] / "dap").touch(mode=0o644)
    path = ":".join(map(str, [*folders, folders[0], tmp_path / "none"]))
    assert other_commands({"PATH": path}, "dap") == (folders[0] / "dap", folders[2] / "dap")
    assert other_commands({}, "dap") == ()


def test_a_folder_on_the_path_that_may_not_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.stat", refuse)
    assert other_commands({"PATH": str(tmp_path)}, "dap") == ()


def test_without_a_home_state_is_not_kept_and_the_sandbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("sys.platform", "linux")
    assert read_settings({}, {}).connection.state_folder is None
    connection = read_settings({"sandbox": True}, {}).connection
    assert connection.sandbox is not None
    assert connection.sandbox.home is None
    assert any("DAP_SANDBOX_HOME" in notice for notice in connection.notices)


def test_nothing_given_is_mistaken_for_something() -> None:
    given: dict[str, Any] = {"base_url": None, "pace": None, "sandbox": False, "quiet": False, "json": False}
    assert read_settings(given, {}) == read_settings({}, {})
