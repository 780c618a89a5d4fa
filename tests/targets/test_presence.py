"""A file is missing when it is not there, and not when it cannot be looked at."""

from pathlib import Path

import pytest

from dapkit.targets.presence import is_missing


def test_a_file_that_is_there_is_not_missing(tmp_path: Path) -> None:
    path = tmp_path / "college"
    assert is_missing(path)
    assert is_missing(tmp_path / "no folder" / "college")
    path.touch()
    assert not is_missing(path)


def test_what_cannot_be_looked_at_is_left_to_who_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("not for you")

    monkeypatch.setattr(Path, "stat", forbidden)
    assert not is_missing(tmp_path / "college")
