"""Each call, class and error of the official Python API is in the table that says what replaces it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.official_client import NEEDS_OFFICIAL, OFFICIAL

from dapkit import AsyncClient, errors

pytestmark = [pytest.mark.official, NEEDS_OFFICIAL]

PAGE = (Path(__file__).parents[2] / "docs" / "official-client.md").read_text(encoding="utf-8")
TABLES = PAGE.partition("## From the official Python API")[2].partition("\n## ")[0]
MODULES = (
    "api.py", "dap_types.py", "dap_error.py", "replicator/sql.py", "integration/database.py",
    "integration/database_errors.py",
)  # fmt: skip
"""What programs import. Other modules are the package's own."""


def package() -> Path:
    (found,) = (Path(OFFICIAL).parents[1] / "lib").glob("python3*/site-packages/dap")
    return found


def public_names() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for node in ast.parse((package() / module).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name, ""
                methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
                if node.name not in ("JobStatus", "AccessToken", "Format", "Mode", "CompleteJob", "URL"):
                    yield from ((method.name, node.name) for method in methods if not method.name.startswith("_"))
    for path in (package() / "actions").glob("[a-z]*.py"):
        yield path.stem, "actions"


def test_every_name_of_the_official_api_is_in_the_table() -> None:
    missing = [
        f"{where}.{name}"
        for name, where in public_names()
        if not re.search(rf"\b{name}\b", TABLES) and name not in ("from_json", "json", "to_json", "isTerminal")
    ]
    assert missing == []


def test_everything_that_replaces_it_exists() -> None:
    rows = re.findall(r"(?m)^\| .+? \| (.+) \|$", TABLES)
    named = {word for row in rows for word in re.findall(r"`(\w+Error)`", row)}
    assert len(named) > 20
    assert [name for name in sorted(named) if not hasattr(errors, name)] == []
    for method in ("initdb", "syncdb", "dropdb", "listdb", "submit", "await_job", "poll", "sign", "read", "records"):
        assert hasattr(AsyncClient, method)
        assert f"`{method}" in TABLES
