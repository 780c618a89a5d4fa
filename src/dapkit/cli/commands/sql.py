"""`dap sql`: queries over tables in folders, or over the sandbox."""

import re
import shutil
import sys
import tempfile
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import HELP_NAMES, SectionedCommand, flag, global_options, option, settings_of
from dapkit.cli.run_command import run_connected
from dapkit.cli.sql_prompt import prompt
from dapkit.client.session import Session
from dapkit.config.settings import Settings
from dapkit.errors import DiskFullError, OutputError, UsageError
from dapkit.export.options import ExportRequest, FlatOptions
from dapkit.export.run import export
from dapkit.export.sources import flat_sources, sources_in
from dapkit.model import Format
from dapkit.protocol.namespaces import NAMESPACES
from dapkit.storage.atomic import disk_errors
from dapkit.tables.engine import EngineOptions
from dapkit.tables.query import TableDatabase

EPILOG = """\b
Examples:
  dap --sandbox sql 'SELECT count(*) FROM canvas.users'
  dap sql --from downloads 'DESCRIBE canvas.enrollments'
  dap sql --from downloads --from duckdb:college.duckdb --csv 'SELECT …'
  dap sql --from downloads
\b
Without a query, a prompt asks for one after the other. Queries only read:
they have no access to other files or to the network.
"""

_ROWS = 40
"""Rows that are shown in a terminal."""

_PIPE_WIDTH, _PIPE_ROWS = 200, 10_000
"""Columns and rows that are printed without a terminal; --json and --csv have no limits."""

_COPY = {"json": "FORMAT json, ARRAY true", "csv": "FORMAT csv, HEADER true"}


@click.command("sql", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument("query", required=False)
@option(
    "--from",
    "sources",
    multiple=True,
    metavar="DIR|URL",
    path=True,
    help="A folder with results of snapshot, or a DuckDB file such as duckdb:college.duckdb. Can be repeated.",
)
@flag("--json", "as_json", help="Print the rows as a JSON array.")
@flag("--csv", "as_csv", help="Print the rows as CSV.")
@option("--parquet", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows to a Parquet file.")
@option("--memory-limit", metavar="SIZE", help="How much memory DuckDB may use [default: 1GB].")
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Query tables with SQL, in DuckDB's dialect.

    Each table has the name NAMESPACE.TABLE, and its changes in flat files have the name NAMESPACE.TABLE_changes. With
    --sandbox and without --from, the tables of the query are synthetic.
    """
    settings = settings_of(context)
    if sum(bool(given[name]) for name in ("as_json", "as_csv", "parquet")) > 1:
        raise UsageError("Several formats are given", hint="Use one of --json, --csv and --parquet.")
    if not given["sources"] and not settings.connection.sandbox:
        raise UsageError("No tables are given", hint="Use --from with a folder, or --sandbox.")
    limit = FlatOptions(memory_limit=given["memory_limit"] or "1GB").memory_limit
    with Console(settings.messages) as console, tempfile.TemporaryDirectory(prefix="dapkit-sql-") as name:
        folder = Path(name).resolve()
        with TableDatabase(EngineOptions(memory_limit=limit, temp_folder=folder)) as database:
            for source in given["sources"]:
                _add_source(database, source, console)
            database.seal()

            def answer(query: str) -> None:
                if not given["sources"]:
                    _add_sandbox(database, query, folder, settings, console)
                _answer(database, query, given, console)

            if given["query"] is not None:
                answer(given["query"])
            else:
                prompt(lambda: _words(database), answer)


def _add_source(database: TableDatabase, source: str, console: Console) -> None:
    path = Path(source.removeprefix("duckdb:")).expanduser()
    if path.is_dir():
        database.add(sources_in(path, console.on_event))
    elif path.is_file():
        database.attach(path)
    else:
        raise UsageError(f"--from {source!r} is neither a folder nor a DuckDB file", hint="Check the path.")


def _add_sandbox(database: TableDatabase, query: str, folder: Path, settings: Settings, console: Console) -> None:
    """Take the snapshots of the sandbox's tables whose names occur in a query."""
    words = set(re.findall(r"\w+", query.lower()))
    known = set(database.names)

    async def work(session: Session) -> None:
        for namespace in words & {*NAMESPACES, "edge"}:
            tables = [name for name in await session.tables(namespace) if name in words]
            missing = tuple(name for name in tables if (namespace, name) not in known)
            if missing:
                request = ExportRequest(
                    namespace=namespace, tables=missing, output=folder, format=Format.PARQUET, flat=FlatOptions()
                )
                (await export(session, request, lambda _: None)).raise_for_failed()

    run_connected(settings, console, work)
    database.add(flat_sources(folder))


def _answer(database: TableDatabase, query: str, given: Any, console: Console) -> None:
    if given["parquet"]:
        _save(database, query, given["parquet"])
        return
    for name, options in _COPY.items():
        if given[f"as_{name}"]:
            with database.write(query, options).open(encoding="utf-8", newline="") as result:
                shutil.copyfileobj(result, sys.stdout)
            return
    with database.query(query) as relation:
        printed = StringIO()
        width, rows = (console.width, _ROWS) if console.width else (_PIPE_WIDTH, _PIPE_ROWS)
        with redirect_stdout(printed):  # DuckDB prints it itself
            relation.show(max_width=width, max_rows=rows)
    for line in printed.getvalue().rstrip("\n").split("\n"):
        console.result(line)


def _save(database: TableDatabase, query: str, path: Path) -> None:
    result = database.write(query, "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false")
    partial = path.with_name(f".{path.name}.part")
    try:
        with disk_errors(path):
            shutil.copyfile(result, partial)
            partial.replace(path)
    except OutputError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, DiskFullError):
            error.hint = "Give --parquet a file in a folder that you can write to."
        raise


def _words(database: TableDatabase) -> list[str]:
    """Return what can be completed: names of tables and columns."""
    return [*(f"{namespace}.{table}" for namespace, table in database.names), *database.columns()]
