"""The import law: data flows one way, and each layer knows only what lies below it. Type-only imports count too."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dapkit"
BASE = {"errors", "model", "schema", "spec"}
MAY_IMPORT = {
    "errors": set[str](),
    "model": set[str](),
    "schema": {"errors", "model"},
    "spec": set[str](),
    "locks": {"errors"},
    "protocol": {"errors", "model", "schema"},
    "decode": {"errors", "model", "schema"},
    "targets": {"errors", "model", "schema", "decode"},
    "client": {"errors", "model", "schema", "locks", "protocol"},
    "engine": {"errors", "model", "schema", "locks", "protocol", "client", "decode", "targets"},
    "sandbox": {"spec", "errors", "locks"},
    "settings": {"errors", "protocol"},
    "connection": {"errors", "model", "settings", "protocol", "client", "engine", "sandbox"},
    "library": {
        "errors",
        "model",
        "schema",
        "settings",
        "protocol",
        "client",
        "engine",
        "decode",
        "targets",
        "connection",
    },
    "blocking": {"errors", "model", "engine", "decode", "library"},
    "cli": {
        "errors",
        "model",
        "schema",
        "locks",
        "settings",
        "protocol",
        "client",
        "engine",
        "decode",
        "sandbox",
        "connection",
        "library",
        "targets",
    },
}
PURE = {
    "schema.py": {"dapkit"},
    "protocol": {"dapkit", "msgspec"},
    "engine/plan.py": {"dapkit"},
    "engine/names.py": {"dapkit"},
    "engine/replication/converge.py": {"dapkit"},
}
IMPURE_MODULES = {"asyncio", "logging", "os", "random", "socket", "time", "pathlib", "threading", "subprocess"}
THIRD_PARTY = {
    "aiohttp": {"client/http.py", "sandbox"},
    "click": {"cli"},
    "rich": {"cli"},
    "duckdb": {"sandbox", "decode", "targets/duckdb"},
    "psycopg": {"targets/postgres"},
    "pymysql": {"targets/mysql"},
    "mssql_python": {"targets/mssql"},
    "awscrt": {"engine/checksums.py"},
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def layer_of(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "dapkit" or len(parts) == 1:
        return None
    return parts[1] if parts[1] in MAY_IMPORT else None


def place(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", modules(), ids=place)
def test_each_layer_imports_only_what_lies_below(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return  # binds the public names lazily
    assert own in MAY_IMPORT, f"{own} is a new part of the house: say here what it may import"
    for name in imported(path):
        layer = layer_of(name)
        if layer is not None and layer != own:
            assert layer in MAY_IMPORT[own], f"{place(path)} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=place)
def test_third_party_libraries_are_known_in_one_place_only(path: Path) -> None:
    for name in imported(path):
        homes = THIRD_PARTY.get(name.split(".")[0])
        if homes is not None:
            assert any(place(path).startswith(home) for home in homes), f"{place(path)} imports {name}"


@pytest.mark.parametrize("part", PURE)
def test_pure_parts_import_nothing_that_acts(part: str) -> None:
    target = SOURCE / part
    for path in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
        for name in imported(path):
            root = name.split(".")[0]
            assert root not in IMPURE_MODULES, f"{place(path)} is pure but imports {name}"


@pytest.mark.parametrize("path", modules(), ids=place)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{place(path)}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=place)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), place(path)


def test_no_folder_of_odds_and_ends() -> None:
    names = {part for path in modules() for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & {"utils", "util", "common", "helpers", "helper", "misc", "manager"}


def test_the_law_names_no_layer_that_is_gone() -> None:
    present = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in modules()} - {"__init__"}
    assert present <= set(MAY_IMPORT)
    assert set(MAY_IMPORT) <= present
