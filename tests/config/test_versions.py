"""Which versions are installed."""

import platform

import pytest

from dapkit import __version__
from dapkit.config import versions


def test_versions_of_python_and_the_libraries_are_listed() -> None:
    found = versions.installed_versions()
    assert (found["dapkit"], found["Python"]) == (__version__, platform.python_version())
    assert {"platform", "OpenSSL", "aiohttp", "click", "duckdb", "msgspec"} <= set(found)
    assert all(found.values())
    assert versions.version_text(found).startswith(f"dapkit {__version__}, Python {platform.python_version()}, ")


def test_libraries_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "requires", lambda _: ["nosuch-library>=1; extra == 'x'", "click>=8"])
    found = versions.installed_versions()
    assert "click" in found
    assert "nosuch-library" not in found
