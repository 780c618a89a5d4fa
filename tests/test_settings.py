"""Where state lies."""

from pathlib import Path

import pytest

from dapkit.settings import user_state_folder


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
