"""Running the official client 2.3.1 on a database.

DAPKIT_OFFICIAL names its `dap` command, installed with its extras for the databases.
"""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.sandbox_process import SandboxProcess

__all__ = ["EDGE", "NEEDS_OFFICIAL", "official", "start_official", "try_official"]

OFFICIAL = os.environ.get("DAPKIT_OFFICIAL", "")
NEEDS_OFFICIAL = pytest.mark.skipif(
    not OFFICIAL, reason="DAPKIT_OFFICIAL does not name the official client's dap command"
)

# The official client supports four namespaces; this adds `edge`.
_WITH_EDGE = """
import sys, types
from dap.__main__ import console_entry
from dap.integration import database
from dap.replicator import sql_op
edge = types.ModuleType("edge")
sys.modules["edge"] = sql_op.str_to_namespace["edge"] = edge
options = database.GeneratorOptions
database.GeneratorOptions = lambda *, namespaces, **more: options(namespaces={**namespaces, edge: "edge"}, **more)
console_entry()
"""
# It cannot load the others (see the module `dapkit.sandbox.data.edge_cases`). Its times end in Z and have no far years.
EDGE = (
    "integers,floats,float_specials,decimals,booleans,texts,enumerations,identifiers,addresses,json_texts,nested,"
    "nested_deep,text_keys,empty,single,long_rows,many_parts,sparse,reserved_names,wide"
)


def official(sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path) -> str:
    """Run the official command on a database; it must succeed. Return what it printed."""
    code, output, errors = try_official(sandbox, verb, namespace, tables, url, folder)
    assert code == 0, output[-2000:] + errors[-4000:]
    return output


def try_official(
    sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path
) -> tuple[int, str, str]:
    """Run the official command on a database; return its exit code, what it printed, and its errors."""
    with start_official(sandbox, verb, namespace, tables, url, folder) as process:
        output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def start_official(
    sandbox: SandboxProcess, verb: str, namespace: str, tables: str, url: str, folder: Path
) -> "subprocess.Popen[str]":
    """Start the official command on a database; `listdb` takes no tables."""
    command = [OFFICIAL] if namespace != "edge" else [str(Path(OFFICIAL).with_name("python")), "-c", _WITH_EDGE]
    arguments = ["--non-interactive", "--no-tracking", "--loglevel", "error", verb, "--namespace", namespace]
    arguments += ["--table", tables] if tables else []
    return subprocess.Popen(
        [*command, *arguments, "--connection-string", url],
        env=sandbox.environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
