"""Whether a Parquet file holds together: magic, footer, and every page of every column where it should be.

Reads headers only, a few hundred bytes a page, unless a page carries its own CRC; then the page is read once,
in pieces, and the CRC checked. Damage inside the data of a page without CRC cannot be seen from here: that
takes the store's checksum. Text that Parquet repeats for people (statistics, comments) is not judged either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dapkit.decode.gunzip import crc32
from dapkit.decode.thrift import BrokenThriftError, CompactReader, Struct, Wanted
from dapkit.errors import IntegrityError

__all__ = ["MAGICS", "ParquetStructure", "check_parquet"]

_PLAIN = b"PAR1"
_ENCRYPTED = b"PARE"
MAGICS = (_PLAIN, _ENCRYPTED)

_SIGNATURE = 28
"""Bytes of nonce and tag behind the footer of a file whose columns are encrypted while its footer is not."""

_PIECE = 256 * 1024
_HEADER = 256
_LONGEST_HEADER = 1 << 24
_REPEATED = 2
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = range(4)

_COLUMN: Wanted = {
    1: bytes,  # file
    3: {3: [bytes], 4: int, 5: int, 7: int, 9: int, 11: int},  # metadata: path, codec, values, size, offsets
    8: {},  # encryption
    9: bytes,  # encrypted metadata
}
_FOOTER: Wanted = {
    1: int,  # version
    2: [{1: int, 3: int, 4: bytes, 5: int}],  # schema: type, repetition, name, number of children
    3: int,  # rows
    4: [{1: [_COLUMN], 3: int}],  # row groups: columns, rows
    8: {},  # encryption
}
_PAGE: Wanted = {1: int, 2: int, 3: int, 4: int, 5: {1: int}, 7: {1: int}, 8: {1: int}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetStructure:
    """What a whole file says of itself.

    Attributes:
        rows: how many it holds; None when its footer is encrypted.
        judged: whether there was a footer that could be read; False means that only the two magics were seen.
        pages_proven: whether every page carried a CRC, and each was right.
    """

    rows: int | None
    judged: bool
    pages_proven: bool


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: list[bytes]
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One column of one row group: its bytes in the file and how many values its pages must hold."""

    name: str
    start: int
    end: int
    values: int


def check_parquet(path: Path) -> ParquetStructure:
    """Check the file and return what it says of itself.

    Raises:
        IntegrityError: the file does not hold together; the message says where.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        try:
            return _check(file)
        except BrokenThriftError as error:
            raise _broken(f"its metadata cannot be read: {error}") from error


def _check(file: BinaryIO) -> ParquetStructure:
    size = file.seek(0, 2)
    if size < 12:
        raise _broken(f"it has {size} bytes, too few for any")
    head, (footer_size, tail) = _read(file, 0, 4), _trailer(_read(file, size - 8, 8))
    if head not in MAGICS or tail != head:
        raise _broken(f"it begins with {head!r} and ends with {tail!r}")
    if footer_size > size - 12:
        raise _broken(f"its footer is said to have {footer_size} bytes, more than there are")
    if head == _ENCRYPTED:
        return ParquetStructure(rows=None, judged=False, pages_proven=False)
    footer_start = size - 8 - footer_size
    reader = CompactReader(_read(file, footer_start, footer_size))
    footer = reader.read(_FOOTER)
    left = footer_size - reader.position
    if left != (_SIGNATURE if 8 in footer else 0):
        raise _broken(f"its footer has {left} bytes too many")
    rows = _number(footer, 3, "number of rows")
    pages = crcs = 0
    for chunk in _laid_out(_chunks(footer, rows), footer_start):
        chunk_pages, chunk_crcs = _check_chunk(file, chunk)
        pages += chunk_pages
        crcs += chunk_crcs
    return ParquetStructure(rows=rows, judged=True, pages_proven=0 < pages == crcs)


def _trailer(data: bytes) -> tuple[int, bytes]:
    return int.from_bytes(data[:4], "little"), data[4:]


def _chunks(footer: Struct, rows: int) -> Iterator[_Chunk | None]:
    """Yield every column chunk; None for one that is encrypted and cannot be judged."""
    leaves = _leaves(_entries(footer, 2, "schema"))
    groups = _entries(footer, 4, "row groups")
    if rows != sum(_number(group, 3, "number of rows") for group in groups):
        raise _broken("the rows of its row groups do not add up")
    for group in groups:
        columns = _entries(group, 1, "columns")
        if len(columns) != len(leaves):
            raise _broken(f"a row group has {len(columns)} columns, its schema {len(leaves)}")
        for leaf, column in zip(leaves, columns, strict=True):
            yield _chunk(column, leaf, group[3])


def _leaves(schema: Sequence[Struct]) -> list[_Leaf]:
    """Return the columns that the schema, a tree written depth first, ends in."""
    leaves: list[_Leaf] = []
    open_groups: list[tuple[int, list[bytes], bool]] = [(1, [], False)]
    for index, element in enumerate(schema):
        while open_groups and open_groups[-1][0] == 0:
            open_groups.pop()
        if not open_groups:
            raise _broken("its schema has more elements than its tree")
        left, prefix, repeated = open_groups[-1]
        open_groups[-1] = (left - 1, prefix, repeated)
        path = [*prefix, element.get(4, b"")] if index else []
        repeated = repeated or element.get(3) == _REPEATED
        if 1 in element and index:
            leaves.append(_Leaf(path, repeated))
        else:
            open_groups.append((element.get(5, 0), path, repeated))
    if any(left for left, _, _ in open_groups):
        raise _broken("its schema has fewer elements than its tree")
    return leaves


def _chunk(column: Struct, leaf: _Leaf, rows: int) -> _Chunk | None:
    if 8 in column or 9 in column:
        return None
    name = b".".join(leaf.path).decode("utf-8", "replace")
    metadata = column.get(3)
    if metadata is None or 1 in column:
        raise _broken(f"column {name} is not in this file")
    if metadata.get(3) != leaf.path:
        raise _broken(f"column {name} has another path in its row group")
    values = _number(metadata, 5, f"number of values of column {name}")
    if values < rows or (values > rows and not leaf.repeated):
        raise _broken(f"column {name} has {values} values in {rows} rows")
    start = _number(metadata, 9, f"offset of column {name}")  # 0 in a column without data pages
    dictionary = metadata.get(11, 0)
    if dictionary > 0 and not 0 < start <= dictionary:
        start = dictionary
    return _Chunk(name, start, start + _number(metadata, 7, f"size of column {name}"), values)


def _laid_out(chunks: Iterator[_Chunk | None], limit: int) -> list[_Chunk]:
    """Return the chunks in the file's order; refuse one that leaves the file or runs into the next."""
    ordered = sorted((chunk for chunk in chunks if chunk is not None), key=lambda chunk: chunk.start)
    end, before = 4, "the magic"
    for chunk in ordered:
        if chunk.end == chunk.start and not chunk.values:
            continue
        if chunk.start < end:
            raise _broken(f"column {chunk.name} begins at {chunk.start}, inside {before}")
        end, before = chunk.end, f"column {chunk.name}"
    if end > limit:
        raise _broken(f"{before} ends at {end}, inside the footer")
    return ordered


def _check_chunk(file: BinaryIO, chunk: _Chunk) -> tuple[int, int]:
    """Walk the pages of a chunk; return how many there are and how many of them carry a CRC."""
    position, values, pages, crcs = chunk.start, 0, 0, 0
    while position < chunk.end:
        page, length = _page_header(file, position, chunk)
        size = _number(page, 3, f"size of a page of column {chunk.name}")
        if position + length + size > chunk.end:
            raise _broken(f"the page of column {chunk.name} at {position} runs over the column's end")
        values += _page_values(page, chunk)
        pages += 1
        position += length
        if 4 in page:
            _check_crc(file, position, size, page[4])
            crcs += 1
        position += size
    if values != chunk.values:
        raise _broken(f"the pages of column {chunk.name} hold {values} values, not {chunk.values}")
    return pages, crcs


def _page_header(file: BinaryIO, position: int, chunk: _Chunk) -> tuple[Struct, int]:
    """Return the header at `position` and its length; one with long statistics takes a longer look."""
    left = chunk.end - position
    span = _HEADER
    while True:
        reader = CompactReader(_read(file, position, min(span, left)))
        try:
            return reader.read(_PAGE), reader.position
        except BrokenThriftError as error:
            if span >= min(left, _LONGEST_HEADER):
                raise _broken(f"the page of column {chunk.name} at {position} has no header: {error}") from error
        span *= 64


def _page_values(page: Struct, chunk: _Chunk) -> int:
    """Return how many of the column's values the page holds."""
    kind = page.get(1)
    if kind in (_INDEX_PAGE, _DICTIONARY_PAGE):
        return 0
    header = page.get({_DATA_PAGE: 5, _DATA_PAGE_V2: 8}.get(kind, -1) if kind is not None else -1)
    if header is None:
        raise _broken(f"a page of column {chunk.name} is of no known kind")
    return _number(header, 1, f"number of values of a page of column {chunk.name}")


def _check_crc(file: BinaryIO, position: int, size: int, expected: int) -> None:
    crc, end = 0, position + size
    for start in range(position, end, _PIECE):
        crc = crc32(_read(file, start, min(_PIECE, end - start)), crc)
    if crc != expected & 0xFFFFFFFF:
        raise _broken(f"the CRC of the page at {position} is wrong")


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    data = file.read(count)
    if len(data) != count:
        raise _broken(f"it ends before {position + count}")
    return data


def _number(struct: Struct, field: int, what: str) -> int:
    number: int | None = struct.get(field)
    if number is None or number < 0:
        raise _broken(f"the {what} is missing or wrong")
    return number


def _entries(struct: Struct, field: int, what: str) -> list[Struct]:
    entries: list[Struct] | None = struct.get(field)
    if entries is None:
        raise _broken(f"the {what} is missing")
    return entries


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(f"The file is no whole Parquet file: {reason}.")
