"""Writes one flat file from downloaded files, one by one as they arrive.

Each downloaded file becomes a piece in a temporary folder. At the end the pieces are joined without reading their rows
again, flushed, and renamed to the final name. A piece is written by one COPY, which reads the file in the form in which
the service sent it.
"""

import csv
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from dapkit.decode.row_count import row_counter
from dapkit.decode.tsv import BOM, split_file
from dapkit.decode.tsv_sql import LINE_SIZES, literal_path, quote_identifier, text_literal
from dapkit.errors import BadValueError, IntegrityError, MalformedFileError
from dapkit.model import FlatFormat, Format, Table, TypeKind
from dapkit.storage.atomic import disk_errors, make_folder, sync_folder
from dapkit.tables.engine import Engine
from dapkit.tables.file_repair import repaired_copy
from dapkit.tables.flat_files import KEY, FlatState, sidecar_of, write_sidecar
from dapkit.tables.output import (
    COPY_OPTIONS,
    CSV_HEADER_OPTIONS,
    PARQUET_V1_OPTIONS,
    WIDE_INT32,
    output_select,
)
from dapkit.tables.parquet_merge import merge_parquet
from dapkit.tables.types import spark_field, spark_fields
from dapkit.tables.wire_files import ACTION, TS, FileShape, FlatColumns, FlatSelect, empty_select, unknown_columns

SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"
"""The metadata in which Spark keeps its schema; Spark's DESCRIBE shows the descriptions in it."""

_SECTIONS = ("meta", "key", "value")
_NEWER_SCHEMA = "The service may not serve the schema of the file yet: run the same command again in some hours."
_JSON_LINE = 16 << 20
"""Bytes of the longest JSON line to try first; DuckDB uses memory for longer ones only if they occur."""


class UnknownColumnsError(IntegrityError):
    """A file has columns that the schema does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatPlan:
    """What a flat file is made of, and how.

    Attributes:
        table: with the schema that the downloaded files follow.
        downloaded_as: the format of the downloaded files.
        columns: which columns the flat file has.
        format: of the flat file.
        is_exact: whether the files follow this very version of the schema.
    """

    table: Table
    downloaded_as: Format
    columns: FlatColumns
    format: FlatFormat
    is_exact: bool = True


class FlatWriter:
    """Writes one flat file.

    Args:
        engine: does the work.
        plan: what to write.
        folder: a temporary folder, on the disk of the flat file; created here, removed by `finish` and `discard`.

    Attributes:
        repaired: how many values (in CSV and JSONL: lines) were repaired.
    """

    def __init__(self, engine: Engine, plan: FlatPlan, folder: Path) -> None:
        self._engine = engine
        self._plan = plan
        self._folder = folder
        self._pieces: dict[int, Path] = {}
        self._rows = 0
        self._lock = threading.Lock()
        self.repaired = 0
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
        make_folder(folder)

    def add(self, index: int, path: Path, rows: int | None) -> None:
        """Write the piece of one downloaded file. Blocks; may be called from several threads at once.

        Args:
            index: the position of the file in its job; pieces are joined in this order.
            path: the file, verified.
            rows: how many it has; None if that is unknown.

        Raises:
            BadValueError: a value does not fit its type.
            MalformedFileError: the file cannot be read.
            IntegrityError: the file does not have this number of rows.
        """
        if rows is None:
            rows = _counted_rows(self._plan.downloaded_as, path)
        if rows == 0:
            if self._plan.downloaded_as is not Format.PARQUET and any(split_file(path)):
                file_shape(self._engine, self._plan, path)  # the only line may not be a header
            return
        try:
            written = self._write_piece(index, path, rows)
        except UnknownColumnsError:
            raise
        except (BadValueError, IntegrityError):
            # Nearly all files are as documented, and only one that failed has to be read line by line.
            plan, folder = self._plan, self._folder / f"repaired-{index}"
            action = plan.columns.action
            copy = repaired_copy(plan.table, plan.downloaded_as, path, folder, action=action, rows=rows)
            if copy is None:
                raise
            written = self._write_piece(index, copy.path, copy.rows)
            if copy.repaired:
                self._check_keys(copy.path)
            copy.path.unlink()
            with self._lock:
                self.repaired += copy.repaired
        with self._lock:
            self._rows += written

    def finish(self, target: Path, state: FlatState) -> FlatState:
        """Join the pieces and give the file its name, replacing an earlier one; return its state. Blocks."""
        state = msgspec.structs.replace(state, rows=self._rows)
        pieces = [self._pieces[index] for index in sorted(self._pieces)] or [self._empty_piece()]
        make_folder(target.parent)
        with self._new_file(target) as file:
            if self._plan.format is FlatFormat.PARQUET:
                merge_parquet(pieces, file, self._metadata(state))
            else:
                self._join_texts(pieces, file)
        if self._plan.format is not FlatFormat.PARQUET:
            write_sidecar(target, state)
        self.discard()
        return state

    def discard(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_piece(self, index: int, path: Path, rows: int | None) -> int:
        """Write a piece and return its rows."""
        plan = self._plan
        shape = file_shape(self._engine, plan, path)
        if unknown := sorted(unknown_columns(plan.table, plan.downloaded_as, shape)):
            # Their values would be lost.
            message = f"{path.name} has columns that are not in version {plan.table.version} of the schema"
            raise UnknownColumnsError(f"{message}: {', '.join(unknown)}", hint=_NEWER_SCHEMA, table=plan.table.name)
        select = FlatSelect(table=plan.table, format=plan.downloaded_as, shape=shape, columns=plan.columns)
        piece = self._folder / f"{index}.piece"
        sizes: Sequence[int] = LINE_SIZES if plan.downloaded_as is not Format.JSONL else (_JSON_LINE, LINE_SIZES[-1])
        sizes = sizes if rows is not None else sizes[-1:]  # nothing would show that a smaller one was not enough
        for size in sizes if plan.downloaded_as is not Format.PARQUET else (0,):
            last = size in (0, sizes[-1])
            try:
                written = self._copy(select.sql([str(path)], size), piece)
            except MalformedFileError:
                if last:
                    raise
                continue
            # A line that is far too long may be skipped without an error; only the number of rows shows it.
            if rows is None or written == rows:
                with self._lock:
                    self._pieces[index] = piece
                return written
        message = f"{path.name} has {rows:,} rows, but {written:,} could be read"
        raise IntegrityError(message, table=plan.table.name)

    def _check_keys(self, path: Path) -> None:
        """Raise BadValueError if a key has the replacement character: it could be equal to the key of another row."""
        plan = self._plan
        keys = [each.name for each in plan.table.key if each.type.kind is TypeKind.TEXT]
        if keys:
            shape = file_shape(self._engine, plan, path)
            select = FlatSelect(table=plan.table, format=plan.downloaded_as, shape=shape, columns=plan.columns)
            replaced = " OR ".join(f"contains({quote_identifier(each)}, chr(65533))" for each in keys)
            rows = f"SELECT count(*) FROM ({select.sql([str(path)], LINE_SIZES[-1])}) WHERE {replaced}"
            if self._engine.execute(rows) != [(0,)]:
                message = f"A value of the key column {', '.join(keys)} is not valid text"
                raise BadValueError(message, table=plan.table.name)

    def _copy(self, select: str, piece: Path) -> int:
        query = output_select(select, self._plan.table, self._plan.columns, self._plan.format)
        copy = f"COPY ({query}) TO {text_literal(str(piece))}"
        ((rows,),) = self._engine.execute(f"{copy} ({COPY_OPTIONS[self._plan.format]})")
        if self._plan.format is FlatFormat.PARQUET and self._engine.execute(WIDE_INT32, [literal_path(str(piece))]) != [
            (0,)
        ]:
            self._engine.execute(f"{copy} ({PARQUET_V1_OPTIONS})")
        return int(rows)

    def _empty_piece(self) -> Path:
        piece = self._folder / "empty.piece"
        self._copy(empty_select(self._plan.table, self._plan.columns), piece)
        return piece

    def _join_texts(self, pieces: Sequence[Path], file: BinaryIO) -> None:
        if self._plan.format is FlatFormat.CSV:
            header = self._folder / "header.piece"
            query = output_select(
                empty_select(self._plan.table, self._plan.columns), self._plan.table, self._plan.columns, FlatFormat.CSV
            )
            self._engine.execute(f"COPY ({query}) TO {text_literal(str(header))} ({CSV_HEADER_OPTIONS})")
            pieces = [header, *pieces]
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)

    def _metadata(self, state: FlatState) -> dict[str, str]:
        columns = self._plan.columns
        fields = spark_fields(self._plan.table.columns, columns.nested)
        if columns.action:
            fields.append(spark_field(ACTION, "string"))
        if columns.ts:
            fields.append(spark_field(TS, "timestamp"))
        spark = {"type": "struct", "fields": fields}
        return {KEY: msgspec.json.encode(state).decode(), SPARK_SCHEMA: msgspec.json.encode(spark).decode()}

    @contextmanager
    def _new_file(self, target: Path) -> Iterator[BinaryIO]:
        """Yield a file that gets its name when it is complete and on the disk."""
        partial = target.with_name(f".{target.name}.part")
        with disk_errors(target):
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # Without its sidecar, an earlier file counts as incomplete; with another file's, it would be wrong.
            sidecar_of(target).unlink(missing_ok=True)
            partial.replace(target)
            sync_folder(target.parent)


def file_shape(engine: Engine, plan: FlatPlan, path: Path) -> FileShape:
    """Return the columns of a downloaded file.

    Raises:
        MalformedFileError: it has no header, or cannot be read.
        OSError: it cannot be read.
    """
    match plan.downloaded_as:
        case Format.PARQUET:
            return FileShape(types=engine.parquet_types(path))
        case Format.CSV | Format.TSV:
            return FileShape(names=_header_names(plan.table, plan.downloaded_as, path))
        case Format.JSONL:
            # DuckDB drops columns that are not in its list. Only a file of another version can have such columns.
            return FileShape() if plan.is_exact else FileShape(names=engine.json_names(path))


def _header_names(table: Table, format_: Format, path: Path) -> tuple[str, ...]:
    line, _ = next(split_file(path), (b"", b""))
    text = line.removeprefix(BOM).removesuffix(b"\r").decode("utf-8", "replace")
    names = next(csv.reader([text]), []) if format_ is Format.CSV else text.split("\t")
    sections = [name.partition(".")[0] for name in names]
    if not names or sections[0] not in _SECTIONS:
        raise MalformedFileError(f"{path.name} does not begin with a header: {line[:60]!r}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MalformedFileError(f"{path.name} has several columns of the name {', '.join(repeated)}")
    if strange := sorted(set(sections) - {*_SECTIONS}):
        raise MalformedFileError(f"{path.name} has columns that are neither meta, key nor value: {', '.join(strange)}")
    if missing := [each.name for each in table.key if f"key.{each.name}" not in names]:
        raise MalformedFileError(f"{path.name} has no column {', '.join(missing)} of the key")
    if format_ is Format.TSV and line.endswith(b"\r"):
        # DuckDB would find no rows; a copy has usual lines.
        raise MalformedFileError(f"{path.name} has lines that end with a carriage return")
    return tuple(names)


def _counted_rows(format_: Format, path: Path) -> int | None:
    """Return how many rows a text has, since DuckDB does not say that it left some out; None for Parquet."""
    if format_ is Format.PARQUET:
        return None
    counter = row_counter(format_)
    for number, (header, block) in enumerate(split_file(path)):
        counter.update(block if number else header + b"\n" + block)
    return counter.rows()
