"""The public names are pinned, and importing the package costs nothing."""

import subprocess
import sys

import dapkit


def test_every_public_name_is_bound_on_first_use() -> None:
    assert set(dapkit.__all__) <= set(dir(dapkit))
    for name in dapkit.__all__:
        assert getattr(dapkit, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dapkit, "nothing")


def test_importing_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import dapkit; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if not name.startswith("dapkit")}
    assert not loaded & {"aiohttp", "asyncio", "click", "duckdb", "msgspec", "rich"}
