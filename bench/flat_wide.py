"""Makes or flattens the wide table in the four formats of the service; run by `flat.py` in separate processes.

python bench/flat_wide.py make FOLDER
python bench/flat_wide.py flatten FORMAT FOLDER TARGET MEMORY
python bench/flat_wide.py duckdb FORMAT FOLDER TARGET MEMORY
"""

import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from dapkit.model import FlatFormat, Format, Nested, Table, VersionedSchema
from dapkit.schema import read_table
from dapkit.tables.engine import Engine, EngineOptions
from dapkit.tables.flat_files import FlatState
from dapkit.tables.flat_writer import FlatPlan, FlatWriter, file_shape
from dapkit.tables.types import flat_type
from dapkit.tables.wire_files import FlatColumns, FlatSelect
from databases import wide_files

OBJECTS = 40
THREADS = 2


def table() -> Table:
    """Return the wide table."""
    document = json.loads((wide_files() / "schema.json").read_text())
    return read_table(VersionedSchema(namespace="canvas", table="wide", version=1, document=document))


def plan(format_: Format) -> FlatPlan:
    """Return how files of a format become the flat table."""
    return FlatPlan(table=table(), downloaded_as=format_, columns=FlatColumns(), format=FlatFormat.PARQUET)


def make(folder: Path) -> None:
    """Write the rows as 40 objects in each format."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    parts = sorted(wide_files().glob("part-*.tsv.gz"))
    with Engine(EngineOptions(temp_folder=temporary)) as engine:
        shape = file_shape(engine, plan(Format.TSV), parts[0])
        columns = FlatColumns(ts=True)
        select = FlatSelect(table=table(), format=Format.TSV, shape=shape, columns=columns)
        engine.execute(f"CREATE TABLE wide AS {select.sql([str(path) for path in parts], 2 << 20)}")
        ((rows,),) = engine.execute("SELECT count(*) FROM wide")
        value = [each.name for each in table().value]
        fields = ", ".join(f'"{name}" := "{name}"' for name in value)
        nested = f"struct_pack(id := id) AS key, struct_pack({fields}) AS value, struct_pack(ts := _ts) AS meta"
        dotted = ", ".join(['_ts AS "meta.ts"', 'id AS "key.id"', *(f'"{name}" AS "value.{name}"' for name in value)])
        size = -(-rows // OBJECTS)
        for number in range(OBJECTS):
            some = f"FROM wide WHERE id >= {number * size} AND id < {(number + 1) * size}"
            for format_, selected, suffix, options in (
                ("parquet", nested, "parquet", "FORMAT parquet, COMPRESSION gzip"),
                ("jsonl", nested, "jsonl.gz", "FORMAT json, COMPRESSION gzip, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%gZ'"),
                (
                    "csv",
                    dotted,
                    "csv.gz",
                    "FORMAT csv, HEADER, COMPRESSION gzip, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%gZ'",
                ),
            ):
                (temporary / format_).mkdir(parents=True, exist_ok=True)
                path = temporary / format_ / f"{number:02}.{suffix}"
                engine.execute(f"COPY (SELECT {selected} {some}) TO '{path}' ({options})")
    _split_tsv(parts, temporary / "tsv", size)
    temporary.rename(folder)


def _split_tsv(parts: list[Path], folder: Path, size: int) -> None:
    import gzip  # noqa: PLC0415 -- only `make` needs it

    folder.mkdir(parents=True)
    number = 0
    for part in parts:
        with gzip.open(part, "rb") as lines:
            header = next(lines)
            while chunk := [line for _, line in zip(range(size), lines, strict=False)]:
                (folder / f"{number:02}.tsv.gz").write_bytes(gzip.compress(header + b"".join(chunk), 1))
                number += 1


def flatten(format_: Format, folder: Path, target: Path, memory: str) -> None:
    """Flatten the objects as a run does, without the downloads."""
    made = plan(format_)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        staging = Path(name)
        with Engine(EngineOptions(memory_limit=memory, temp_folder=staging / "spilled")) as engine:
            writer = FlatWriter(engine, made, staging / "pieces")
            paths = sorted((folder / format_).iterdir())
            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(lambda each: writer.add(each[0], each[1], None), enumerate(paths)))
            writer.finish(target, _state(format_))


def _state(format_: Format) -> FlatState:
    return FlatState(
        written_by="bench", service="", sandbox=True, scope=None, namespace="canvas", table="wide",
        format=FlatFormat.PARQUET, nested=Nested.STRUCT, ts=False, downloaded_as=format_, job_id="", schema_version=1,
        at="2025-01-01T00:00:00Z", since=None, until=None, rows=0, verified_by="", completed_at="",
    )  # fmt: skip


def by_duckdb(format_: Format, folder: Path, target: Path) -> None:
    """Let DuckDB alone read the same files with the right types, and write one file, with all the memory it likes."""
    files = [str(path) for path in sorted((folder / format_).iterdir())]
    columns = {each.name: flat_type(each.type, Nested.STRUCT) for each in table().columns}
    struct = ", ".join(f'"{name}" {type_}' for name, type_ in columns.items() if name != "id")
    texts = {"meta.ts": "VARCHAR", "key.id": "BIGINT"}
    texts |= {f"value.{name}": type_ for name, type_ in columns.items() if name != "id"}
    delimited = f"columns = {texts!r}, header = true, auto_detect = false, compression = 'gzip'"
    source = {
        Format.PARQUET: f"SELECT key.*, value.* FROM read_parquet({files})",
        Format.JSONL: f"SELECT key.*, value.* FROM read_json({files}, format = 'newline_delimited', columns = "
        f"{{key: 'STRUCT(id BIGINT)', value: '{struct}'}})".replace(f"'{struct}'", f"'STRUCT({struct})'"),
        Format.CSV: f"""SELECT COLUMNS(c -> NOT starts_with(c, 'meta')) FROM read_csv({files}, {delimited})""",
        Format.TSV: f"""SELECT COLUMNS(c -> NOT starts_with(c, 'meta')) FROM read_csv({files}, {delimited},
            delim = '\t', quote = '', escape = '', nullstr = '\\N')""",
    }[format_].replace("c -> ", "lambda c: ")
    with duckdb.connect(config={"preserve_insertion_order": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({source}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        format_, folder, target = Format(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
        if sys.argv[1] == "flatten":
            flatten(format_, folder, target, sys.argv[5])
        else:
            by_duckdb(format_, folder, target)
