import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dapkit.errors import MissingDriverError, UsageError
from dapkit.targets import registry
from dapkit.targets.registry import SCHEMES, target_of


@pytest.mark.parametrize(
    "url", ["duckdb:a.duckdb", "DuckDB:a.duckdb", "duckdb://a.duckdb", "duckdb:a.duckdb?threads=2", "sqlite:a.duckdb"]
)
def test_each_scheme_has_a_target(url: str) -> None:
    target: Any = target_of(url)
    assert target.path == Path("a.duckdb")
    assert target.name == f"{url.partition(':')[0].lower()}:{Path('a.duckdb').absolute()}", "the same from any folder"


@pytest.mark.parametrize("url", ["", "a.duckdb", "oracle://u:secret@h/d", "C:\\data\\a.duckdb", "duckdb:", "sqlite:"])
def test_an_invalid_url_is_rejected_without_repeating_secrets(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        target_of(url)
    assert "secret" not in str(caught.value) + (caught.value.hint or "")
    if "oracle" in url:
        assert all(f"{scheme}:" in (caught.value.hint or "") for scheme in SCHEMES)


@pytest.mark.parametrize(
    "file", ["college.duckdb", "data/college.sqlite", "college.SQLite3", "C:\\\\data\\\\college.duckdb"]
)
def test_a_file_without_a_scheme_gets_a_suggestion(file: str) -> None:
    with pytest.raises(UsageError) as caught:
        target_of(file)
    assert (caught.value.hint or "").endswith(f":{file}?")


def test_the_suggested_drivers_are_those_of_the_project() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert [driver for driver in registry._DRIVERS.values() if f'"{driver}"' not in project] == []


def test_a_missing_module_of_dapkit_is_not_reported_as_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SCHEMES, "lake", "dapkit.targets.lake.target")
    with pytest.raises(ModuleNotFoundError, match=r"dapkit\.targets\.lake"):
        target_of("lake:here")


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "needy_target.py").write_text("import no_such_driver\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.SCHEMES, "mariadb", "needy_target")
    with pytest.raises(MissingDriverError) as caught:
        target_of("mariadb://u:secret@h/d")
    assert f'"{sys.executable}" -m pip install "pymysql>=' in (caught.value.hint or "")
    assert "secret" not in str(caught.value)


def test_a_driver_whose_own_library_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_target.py").write_text("raise ImportError('no wrapper:\\n- none found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.SCHEMES, "postgres", "broken_target")
    with pytest.raises(MissingDriverError, match="no wrapper: - none found") as caught:
        target_of("postgres://u:secret@h/d")
    assert "psycopg[binary]>=" in (caught.value.hint or "")


def test_the_module_of_a_scheme_creates_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up_target")
    module.target_of = lambda url: url  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_target", module)
    monkeypatch.setitem(registry.SCHEMES, "lake", "made_up_target")
    assert str(target_of("lake:here")) == "lake:here"
