"""Parquet files of the same schema joined into one: their row groups are copied byte by byte under one new footer.

Rewriting the rows would take as long as making them. A footer names the offset of everything in its file, so joining
only has to shift these offsets. All files come from DuckDB, which writes pages, then indexes and filters, then the
footer; what lies between the magic and the footer is copied as one block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dapkit.errors import IntegrityError
from dapkit.tables.thrift_tree import Struct, TreeReader, Value, binary, encode, integer, structs

_MAGIC = b"PAR1"
_TAIL = 8
"""Bytes of the footer's length and the magic at the end."""

# Numbers of fields in the Parquet format's own definition (parquet.thrift).
_SCHEMA, _ROWS, _GROUPS, _METADATA = 2, 3, 4, 5
_GROUP_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _CHUNK_METADATA, _CHUNK_INDEXES = 2, 3, (4, 6)
_COLUMN_OFFSETS = (9, 10, 11, 14)
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetFile:
    """A file that was written: its rows, row groups and bytes."""

    rows: int
    row_groups: int
    bytes: int


def merge_parquet(parts: Sequence[Path], target: BinaryIO, metadata: Mapping[str, str]) -> ParquetFile:
    """Write the rows of several files, in their order, as one file.

    Args:
        parts: the files, at least one, of the same schema, written by DuckDB.
        target: an empty file.
        metadata: the key-value metadata of the new file.

    Raises:
        IntegrityError: the files have different schemas.
        OSError: a file cannot be read or written.
    """
    target.write(_MAGIC)
    footer: Struct = {}
    groups: list[Struct] = []
    for path in parts:
        with path.open("rb") as source:
            part, start = _footer(source)
            footer = footer or part
            if part[_SCHEMA] != footer[_SCHEMA]:
                raise IntegrityError("Parts of a table have different schemas")
            shift = target.tell() - len(_MAGIC)
            source.seek(len(_MAGIC))
            _copy(source, target, start - len(_MAGIC))
            groups += [_shifted(group, shift, len(groups) + index) for index, group in enumerate(_groups(part))]
    rows = sum(group[_GROUP_ROWS].content for group in groups)
    pairs: list[Struct] = [{1: binary(key.encode()), 2: binary(text.encode())} for key, text in metadata.items()]
    footer |= {_ROWS: integer(rows), _GROUPS: structs(groups), _METADATA: structs(pairs)}
    encoded = encode(footer)
    target.write(encoded + len(encoded).to_bytes(4, "little") + _MAGIC)
    return ParquetFile(rows=rows, row_groups=len(groups), bytes=target.tell())


def read_metadata(path: Path) -> dict[str, str]:
    """Return the key-value metadata of a file; empty if it is not a Parquet file with a plain footer.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            footer, _ = _footer(file)
            pairs = footer[_METADATA].content[1] if _METADATA in footer else []
            return {pair[1].content.decode(): pair[2].content.decode() for pair in pairs if 2 in pair}
        except (ValueError, KeyError, IndexError, AttributeError, TypeError):
            return {}


def _footer(file: BinaryIO) -> tuple[Struct, int]:
    """Return the footer, and where it starts. Raises ValueError if there is none."""
    size = file.seek(0, 2)
    if size < len(_MAGIC) + _TAIL:
        raise ValueError("too short")
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    start = size - _TAIL - length
    if tail[4:] != _MAGIC or start < len(_MAGIC):
        raise ValueError("no footer")
    file.seek(start)
    return TreeReader(file.read(length)).struct(), start


def _groups(footer: Struct) -> list[Struct]:
    groups: list[Struct] = footer[_GROUPS].content[1]
    return groups


def _shifted(group: Struct, shift: int, ordinal: int) -> Struct:
    """Return a row group whose offsets are `shift` bytes later."""
    columns: list[Struct] = group[_GROUP_COLUMNS].content[1]
    for column in columns:
        # The offset of the chunk itself is 0 in most files, and means nothing then.
        _add(column, (_CHUNK_OFFSET,), shift)
        _add(column, _CHUNK_INDEXES, shift)
        _add(column[_CHUNK_METADATA].content, _COLUMN_OFFSETS, shift)
    _add(group, (_GROUP_OFFSET,), shift)
    if _GROUP_ORDINAL in group:
        group[_GROUP_ORDINAL] = Value(group[_GROUP_ORDINAL].kind, min(ordinal, 0x7FFF))
    return group


def _add(struct: Struct, numbers: Sequence[int], shift: int) -> None:
    for number in numbers:
        if number in struct and struct[number].content:
            struct[number].content += shift


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size > 0:
        piece = source.read(min(_PIECE, size))
        if not piece:
            raise IntegrityError("A part of a table ends too early")
        target.write(piece)
        size -= len(piece)
