"""Rows counted in text as it passes, without decoding it.

A counter takes the inflated bytes of one object in order, cut anywhere, and says at the end how many rows
they hold. No loop runs over characters: the work is done by a few calls per block that run at gigabytes a
second.
"""

from typing import Protocol

from dapkit.model import Format

__all__ = ["CsvCounter", "LineCounter", "RowCounter", "counter_of"]


class RowCounter(Protocol):
    """Counts the rows of one object."""

    def update(self, block: bytes) -> None:
        """Take the next bytes."""

    def rows(self) -> int | None:
        """Return the rows so far, as if the text ended here; None when that is inside a quoted field."""


def _newlines(block: bytes) -> int:
    # bytes.count looks at single bytes one by one before Python 3.13; replace searches with memchr.
    return len(block) - len(block.replace(b"\n", b""))


class LineCounter:
    """One row a line (JSONL; TSV, where newlines inside values are escaped), less the header lines."""

    def __init__(self, *, header: bool) -> None:
        self._header = header
        self._lines = 0
        self._last = b"\n"

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        if block:
            self._lines += _newlines(block)
            self._last = block[-1:]

    def rows(self) -> int | None:
        """Return the rows so far; a last line without newline counts."""
        lines = self._lines + (self._last != b"\n")
        return max(0, lines - self._header)


class CsvCounter:
    """Records of CSV (RFC 4180) less the header: newlines inside quotes are data.

    A quote inside a quoted field is doubled, so a newline is data exactly when an odd number of quotes is
    before it.
    """

    def __init__(self) -> None:
        self._lines = LineCounter(header=True)
        self._quoted = False

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        if b'"' not in block:
            if not self._quoted:
                self._lines.update(block)
            return
        pieces = block.split(b'"')
        outside = pieces[1 if self._quoted else 0 :: 2]
        self._quoted ^= len(pieces) % 2 == 0
        # A closing quote at the end stands for the field it closes: the text does not end with a newline.
        self._lines.update(b'"'.join(outside) + (b"" if pieces[-1] else b'"'))

    def rows(self) -> int | None:
        """Return the records so far; a last one without newline counts."""
        return None if self._quoted else self._lines.rows()


def counter_of(format: Format) -> RowCounter:  # noqa: A002 - the word of the service and of the whole package
    """Return a counter for a text format.

    Raises:
        ValueError: the format is Parquet, whose footer says how many rows it holds.
    """
    match format:
        case Format.JSONL:
            return LineCounter(header=False)
        case Format.TSV:
            return LineCounter(header=True)
        case Format.CSV:
            return CsvCounter()
        case Format.PARQUET:
            raise ValueError("Parquet is not text")
