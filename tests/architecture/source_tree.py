"""The source tree as the architecture tests see it: its modules, and what each of them imports."""

import ast
import os.path
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "dapkit"


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module, parsed, by its path below the package."""
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }


def imported(module: str) -> list[str]:
    """Return the full names that a module imports, type-only and lazy imports included."""
    names: list[str] = []
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def internal_imports(module: str) -> set[str]:
    """Return the modules of this package that a module imports, by their paths."""
    return {path for name in imported(module) if (path := _path_of(name)) is not None}


def _path_of(name: str) -> str | None:
    """Return the module that an imported name is or belongs to; None for other packages and for `dapkit` itself."""
    parts = name.split(".")
    if parts[0] != "dapkit":
        return None
    for length in range(len(parts), 1, -1):
        path = "/".join(parts[1:length])
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            if candidate in modules():
                return candidate
    return None


def layer_of(module: str) -> str:
    """Return the first part of a module's path: its package, or its own name."""
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


def below(folder: str) -> Iterator[str]:
    """Yield the modules of a folder."""
    return (module for module in modules() if module.startswith(f"{folder}/"))


Graph = Mapping[str, Set[str]]


def module_graph() -> Graph:
    """Return which modules each module imports."""
    return {module: internal_imports(module) - {module} for module in modules()}


def folder_graphs() -> dict[str, Graph]:
    """Return, for each folder, which of its parts (modules and folders) import which others."""
    graphs: dict[str, dict[str, set[str]]] = {}
    for module, others in module_graph().items():
        for other in others:
            shared = os.path.commonpath(["./" + module, "./" + other])
            one, two = (os.path.relpath("./" + name, shared).split("/")[0] for name in (module, other))
            graphs.setdefault(shared, {}).setdefault(one, set()).add(two)
    return dict(graphs)


def cycles(graph: Graph) -> list[list[str]]:
    """Return the groups of nodes that lead to each other in a circle (strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found
