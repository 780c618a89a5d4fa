"""Where state lies."""

import math
from pathlib import Path

import pytest

from dapkit.config.settings import read_number, user_cache_folder, user_state_folder
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
def test_state_lies_where_the_platform_keeps_it(platform: str, environ: dict[str, str], tail: Path) -> None:
    assert user_state_folder(environ, platform) == (tail if tail.is_absolute() else Path.home() / tail)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_without_a_home_there_is_no_state_folder(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert user_state_folder({}, platform) is None
    assert user_cache_folder({}, platform) is None
    assert user_state_folder({"XDG_STATE_HOME": "/s"}, "linux") == Path("/s/dapkit")


def test_a_number_is_what_is_given_else_the_variables_else_the_default() -> None:
    assert read_number(1, {"DAP_N": "2"}, "DAP_N", 3) == 1
    assert read_number(None, {"DAP_N": "2"}, "DAP_N", 3) == 2
    assert read_number(None, {"DAP_N": ""}, "DAP_N", 3) == 3
    assert read_number(0, {}, "DAP_N", 3) == 0


@pytest.mark.parametrize(
    ("given", "text", "positive", "words"),
    [
        (math.nan, None, False, "n is nan, which is no number from 0"),
        (-1, None, False, "n is -1"),
        (0, None, True, "n is 0, which is no number above 0"),
        (None, "inf", False, "DAP_N is 'inf'"),
        (None, "much", False, "DAP_N is 'much'"),
    ],
)
def test_a_number_that_is_none_names_its_source(
    given: float | None, text: str | None, positive: bool, words: str
) -> None:
    environ = {} if text is None else {"DAP_N": text}
    with pytest.raises(UsageError, match=words):
        read_number(given, environ, "DAP_N", 3, positive=positive)
