"""The structure that ARCHITECTURE.md describes. Each rule is one assertion that lists everything that breaks it."""

import ast

from tests.architecture.source_tree import (
    SOURCE,
    below,
    cycles,
    folder_graphs,
    imported,
    internal_imports,
    layer_of,
    module_graph,
    modules,
)

ORDER = (
    ("cli",),
    ("api", "display"),
    ("replication", "describe"),
    ("export",),
    ("transfer",),
    ("targets",),
    ("tables",),
    ("client",),
    ("storage",),
    ("decode",),
    ("config",),
    ("protocol",),
    ("sandbox",),
    ("events",),
    ("results",),
    ("failures",),
    ("schema",),
    ("model", "locks", "spec", "formatting"),
    ("errors",),
)
"""The layers from the top down: a module imports from its own layer and from those in rows below it."""

FORBIDDEN = {"export": {"targets"}, "transfer": {"targets"}}
"""What a layer must not import although it lies below."""

SANDBOX_IMPORTS = {"spec", "locks", "errors"}

PURE = {
    "schema.py": {"dapkit"},
    "protocol": {"dapkit", "msgspec"},
    "export/plan.py": {"dapkit"},
    "storage/names.py": {"dapkit"},
    "replication/plan.py": {"dapkit"},
}
"""Modules and folders without clock, socket, file or log, besides those whose docstring begins with PURE."""

IMPURE = {"asyncio", "logging", "os", "random", "socket", "time", "threading", "subprocess", "tempfile"}

THIRD_PARTY = {
    "aiohttp": {"client/http.py", "sandbox/"},
    "click": {"cli/"},
    "rich": {"cli/", "display/"},
    "duckdb": {"sandbox/", "decode/", "tables/", "targets/duckdb/"},
    "psycopg": {"targets/postgres/"},
    "pymysql": {"targets/mysql/"},
    "mssql_python": {"targets/mssql/"},
    "awscrt": {"transfer/checksums.py"},
}

LONGEST_FILE, LONGEST_FUNCTION = 500, 60


def test_each_layer_imports_only_from_below() -> None:
    rank = {layer: row for row, layers in enumerate(ORDER) for layer in layers}
    wrong = {
        f"{module} imports {other}"
        for module in modules()
        for other in internal_imports(module)
        if layer_of(module) not in ("__init__", layer_of(other), "__main__")
        and (rank[layer_of(other)] <= rank[layer_of(module)] or layer_of(other) in FORBIDDEN.get(layer_of(module), ()))
    }
    assert not wrong


def test_the_order_names_every_layer_and_no_other() -> None:
    present = {layer_of(module) for module in modules()} - {"__init__", "__main__"}
    assert present == {layer for layers in ORDER for layer in layers}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not cycles(module_graph())


def test_no_parts_of_a_folder_depend_on_each_other_in_a_circle() -> None:
    wrong = {folder: groups for folder, graph in folder_graphs().items() if (groups := cycles(graph))}
    assert not wrong


def test_only_the_registry_knows_concrete_targets() -> None:
    concrete = {path.name for path in (SOURCE / "targets").iterdir() if path.is_dir()} - {"sql", "__pycache__"}
    wrong = [
        f"{module} imports {other}"
        for module in modules()
        for other in internal_imports(module)
        if (parts := other.split("/"))[0] == "targets"
        and parts[1] in concrete
        and module != "targets/registry.py"
        and not module.startswith(f"targets/{parts[1]}/")
    ]
    assert not wrong


def test_the_sandbox_shares_only_facts_with_the_client() -> None:
    wrong = [
        f"{module} imports {other}"
        for module in below("sandbox")
        for other in internal_imports(module)
        if layer_of(other) not in SANDBOX_IMPORTS | {"sandbox"}
    ]
    assert not wrong


def test_pure_modules_are_pure() -> None:
    declared = {name for name, tree in modules().items() if (ast.get_docstring(tree) or "").startswith("PURE")}
    listed = {name for part in PURE for name in modules() if name == part or name.startswith(f"{part}/")}
    wrong = [
        f"{module} imports {name}"
        for module in sorted(declared | listed)
        for name in imported(module)
        if name.split(".")[0] in IMPURE
    ]
    assert not wrong


def test_third_party_libraries_are_imported_where_they_belong() -> None:
    wrong = [
        f"{module} imports {name}"
        for module in modules()
        for name in imported(module)
        if (homes := THIRD_PARTY.get(name.split(".")[0])) and not any(module.startswith(home) for home in homes)
    ]
    assert not wrong


def test_files_and_functions_stay_small() -> None:
    long_files = [name for name in modules() if (SOURCE / name).read_text(encoding="utf-8").count("\n") > LONGEST_FILE]
    long_functions = [
        f"{name}: {node.name}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert not long_files + long_functions


def test_every_module_says_what_it_is_for() -> None:
    assert not [name for name, tree in modules().items() if not ast.get_docstring(tree)]


def test_no_folder_of_odds_and_ends() -> None:
    names = {part.removesuffix(".py") for name in modules() for part in name.split("/")}
    assert not names & {"utils", "util", "common", "helpers", "helper", "misc", "manager"}


def test_no_target_overrides_a_method_that_has_a_body() -> None:
    """A base class whose steps are overridden cannot be read top to bottom: targets are composed instead."""
    classes = {
        node.name: node
        for module in below("targets")
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.ClassDef)
    }
    wrong = [
        f"{name}.{method} overrides {base}.{method}"
        for name, node in classes.items()
        for base in _bases(node, classes)
        for method in _methods(node) & _methods(classes[base], with_body=True)
    ]
    assert not wrong


def test_class_names_of_targets_are_unique() -> None:
    found = [
        node.name
        for module in below("targets")
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(found) == sorted(set(found))


def _bases(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Return the names of all base classes of ours; those of libraries cannot be composed."""
    direct = {base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes}
    return direct.union(*(_bases(classes[name], classes) for name in direct))


def _methods(node: ast.ClassDef, *, with_body: bool = False) -> set[str]:
    """Return the names of methods; a docstring or `...` alone, as in a protocol, is no body."""
    return {
        each.name
        for each in node.body
        if isinstance(each, ast.FunctionDef)
        and not (with_body and all(isinstance(statement, ast.Expr) for statement in each.body))
    }
