"""Downloaded files made into flat files without a service, and flat files read back without DuckDB."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tests.contract.flat import reference
from tests.contract.flat.reference import Row, csv_rows, ordered, plain_rows

from dapkit.model import Column, ColumnType, FlatFormat, Format, Nested, Table, TypeKind
from dapkit.tables.engine import Engine
from dapkit.tables.flat_files import FlatState, flat_path
from dapkit.tables.flat_writer import FlatPlan, FlatWriter
from dapkit.tables.wire_files import ACTION, TS, FlatColumns

_ADDED = {ACTION: ColumnType(kind=TypeKind.TEXT), TS: ColumnType(kind=TypeKind.DATETIME)}


def state_of(plan: FlatPlan) -> FlatState:
    """Return the state of a flat file of no particular job."""
    return FlatState(
        written_by="dapkit",
        service="https://example.com",
        sandbox=False,
        scope=None,
        namespace=plan.table.namespace,
        table=plan.table.name,
        format=plan.format,
        nested=plan.columns.nested,
        ts=plan.columns.ts,
        downloaded_as=plan.downloaded_as,
        job_id="job",
        schema_version=plan.table.version,
        at="2026-09-01T00:00:00Z",
        since=None,
        until=None,
        rows=0,
        verified_by="sha256",
        completed_at="2026-09-01T00:00:00Z",
    )


def plan_for(
    table: Table,
    downloaded_as: Format,
    *,
    nested: Nested = Nested.STRUCT,
    action: bool = False,
    format_: FlatFormat = FlatFormat.PARQUET,
) -> FlatPlan:
    """Return a plan with the times of rows."""
    columns = FlatColumns(nested=nested, ts=True, action=action)
    return FlatPlan(table=table, downloaded_as=downloaded_as, columns=columns, format=format_)


def flatten(engine: Engine, plan: FlatPlan, paths: Sequence[Path], folder: Path) -> Path:
    """Write downloaded files as a flat file and return its path. Their rows are not known before."""
    writer = FlatWriter(engine, plan, folder / "pieces")
    try:
        for index, path in enumerate(paths):
            writer.add(index, path, None)
        state = state_of(plan)
        target = flat_path(folder, state)
        writer.finish(target, state)
    finally:
        writer.discard()
    return target


def flat_rows(path: Path, plan: FlatPlan) -> list[Row]:
    """Return the rows of a flat file as the reference returns those of the downloaded files, in the order of keys."""
    match plan.format:
        case FlatFormat.PARQUET:
            rows = [_typed(row, plan) for row in plain_rows(pq.read_table(path))]
        case FlatFormat.JSONL:
            lines = path.read_bytes().decode().split("\n")[:-1]
            rows = [_typed(json.loads(line, parse_float=Decimal), plan) for line in lines]
        case FlatFormat.CSV:
            header, *lines_ = csv_rows(path.read_bytes().decode())
            found = [dict(zip(map(str, header), fields, strict=True)) for fields in lines_]
            rows = [{name: _csv_value(name, type_, row, plan) for name, type_ in _types(plan).items()} for row in found]
    return ordered(rows, plan.table)


def _types(plan: FlatPlan) -> dict[str, ColumnType]:
    added = {name: type_ for name, type_ in _ADDED.items() if name == TS or plan.columns.action}
    return {column.name: column.type for column in plan.table.columns} | added


def _typed(row: Row, plan: FlatPlan) -> Row:
    types = _types(plan)
    assert list(row) == list(types)
    return {name: _value(types[name], value, plan) for name, value in row.items()}


def _value(type_: ColumnType, value: Any, plan: FlatPlan) -> Any:
    if plan.format is FlatFormat.PARQUET:
        return reference.from_parquet(type_, value)
    return reference.from_json(type_, value)


def _csv_value(name: str, type_: ColumnType, row: dict[str, str | None], plan: FlatPlan) -> Any:
    """Return the value of a column, or that of an object from the columns of its fields."""
    if type_.kind is TypeKind.OBJECT and plan.columns.nested is Nested.STRUCT:
        inner = {each.name: _csv_value(f"{name}.{each.name}", each.type, row, plan) for each in type_.fields}
        return reference.whole(inner)
    text = row[name]
    return None if text is None else reference.from_text(type_, text)


def has_objects(columns: Sequence[Column]) -> bool:
    """Whether a table has nested objects: otherwise both modes give the same files."""
    return any(column.type.kind is TypeKind.OBJECT for column in columns)
