"""The tables in a folder, as SQL can read them: flat files first, then raw results whose schema is known."""

from pathlib import Path

from dapkit.decode.tsv_sql import LINE_SIZES
from dapkit.errors import UsageError
from dapkit.events import Listener, Notice
from dapkit.export.flatten import RawResult, raw_results
from dapkit.model import FlatFormat, Format
from dapkit.schema import read_table
from dapkit.tables.engine import Engine, EngineOptions
from dapkit.tables.flat_files import CHANGES, flat_files
from dapkit.tables.flat_writer import FlatPlan, file_shape
from dapkit.tables.query import TableSource, read_flat
from dapkit.tables.wire_files import FileShape, FlatColumns, FlatSelect, empty_select


def sources_in(folder: Path, on_event: Listener) -> tuple[TableSource, ...]:
    """Return the tables in a folder. Changes in flat files are tables of the name `<table>_changes`.

    Raises:
        UsageError: there is none.
    """
    found = flat_sources(folder)
    known = {(each.namespace, each.table) for each in found}
    try:
        raw = [each for each in raw_results(folder, on_event) if each.manifest.at is not None]
    except UsageError:
        raw = []
    for result in raw:
        content = result.manifest
        if (content.namespace, content.table) in known:
            continue
        if result.schema is None:
            hint = f"`dap schema --namespace {content.namespace} --table {content.table} --output-directory {folder}`"
            on_event(
                Notice(message=f"{content.table} is left out, because its schema is not in the folder. Run {hint}.")
            )
            continue
        found.append(raw_source(result))
    if not found:
        hint = "Give the folder that a snapshot was written to; `dap results` lists what is in it."
        raise UsageError(f"{folder} has no tables that can be queried", hint=hint)
    return tuple(found)


def flat_sources(folder: Path) -> list[TableSource]:
    """Return the flat tables in a folder."""
    paths: dict[tuple[str, str, FlatFormat], list[Path]] = {}
    for path, state in flat_files(folder):
        table = state.table if state.since is None else f"{state.table}{CHANGES.replace('.', '_')}"
        paths.setdefault((state.namespace, table, state.format), []).append(path)
    found: dict[tuple[str, str], TableSource] = {}
    for (namespace, table, format_), files in paths.items():
        source = TableSource(
            namespace=namespace,
            table=table,
            select=read_flat(format_, files),
            folder=files[0].parent,
        )
        if format_ is FlatFormat.PARQUET or (namespace, table) not in found:
            found[namespace, table] = source
    return list(found.values())


def raw_source(result: RawResult) -> TableSource:
    """Return a raw result whose schema is known as a table."""
    assert result.schema is not None
    content, table = result.manifest, read_table(result.schema)
    columns = FlatColumns()
    plan = FlatPlan(table=table, downloaded_as=content.format, columns=columns, format=FlatFormat.PARQUET)
    groups: dict[str, tuple[FileShape, list[str]]] = {}
    with Engine(EngineOptions()) as engine:
        for item in content.objects:
            if item.rows != 0:
                path = result.folder.path / item.name
                shape = file_shape(engine, plan, path)
                groups.setdefault(repr(shape), (shape, []))[1].append(str(path.resolve()))
    size = LINE_SIZES[1] if content.format is not Format.PARQUET else 0
    selects = [
        FlatSelect(table=table, format=content.format, shape=shape, columns=columns).sql(paths, size)
        for shape, paths in groups.values()
    ]
    select = " UNION ALL ".join(selects) or empty_select(table, columns)
    return TableSource(namespace=content.namespace, table=content.table, select=select, folder=result.folder.path)
