"""The public names, and what importing them costs."""

import subprocess
import sys

import dapkit


def test_every_public_name_is_imported_on_first_use() -> None:
    assert set(dapkit.__all__) <= set(dir(dapkit))
    for name in dapkit.__all__:
        assert getattr(dapkit, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dapkit, "nothing")


def modules_after(statement: str) -> set[str]:
    """Return the modules that a statement imports in a new process."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_only_typing() -> None:
    loaded = modules_after("import dapkit")
    assert {name for name in loaded if name.startswith("dapkit")} == {"dapkit"}
    assert not loaded & {"aiohttp", "asyncio", "click", "duckdb", "msgspec", "pathlib", "rich"}


def test_importing_the_client_imports_no_engine() -> None:
    loaded = modules_after("from dapkit import Client, ClientOptions, ExportOptions")
    layers = {name.split(".")[1] for name in loaded if name.startswith("dapkit.")}
    assert not layers & {"client", "decode", "replication", "sandbox", "storage", "targets", "transfer"}
    assert "dapkit.export.run" not in loaded
    assert not loaded & {"aiohttp", "click", "duckdb", "isal", "msgspec", "rich"}


def test_public_names_can_be_completed() -> None:
    assert "Client" in modules_after("import dapkit; print(*dir(dapkit))")
