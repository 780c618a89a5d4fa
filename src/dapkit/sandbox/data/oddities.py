r"""PURE: objects whose text is not as the service documents it. Parquet objects have no text and stay as they are.

The rows stay as far as possible: a client that accepts or repairs the oddity gets the same data.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ODDITIES = {
    "no-meta": "leaves out the metadata of rows",
    "no-ts": "leaves out the time of rows",
    "explicit-nulls": "writes nulls into JSONL",
    "empty-object": "sends a gzip file of nothing",
    "zero-bytes": "sends zero bytes",
    "bom": "begins the text with a byte order mark",
    "crlf": "ends lines with CR LF",
    "no-newline": "does not end the last line",
    "blank-lines": "adds empty lines",
    "not-utf8": "puts a byte that is not UTF-8 into a text",
    "nul": "puts U+0000 into a text",
    "half-surrogate": "puts half a surrogate pair into JSON",
    "short-line": "leaves out the end of the last row",
    "repeated-column": "writes a column twice",
    "unknown-column": "adds a column that the schema does not have",
    "column-order": "orders the columns of every second object differently",
}
"""The kinds, and what they do."""

_META = re.compile(rb',"meta":\{[^}]*\}')
_TS = re.compile(rb'(?<="meta":\{)"ts":"[^"]*",?')
_VALUE = re.compile(rb'"value":\{(?=")')
_CSV_FIELD = re.compile(rb'("(?:[^"]|"")*"|[^",\n]*)([,\n])')


@dataclass(frozen=True, slots=True)
class TextColumns:
    """The names, in a header, of columns that have text, and of those that have JSON."""

    texts: Sequence[str]
    json: Sequence[str]


def rewrite(text: bytes, oddity: str, format: str, columns: TextColumns) -> bytes:  # noqa: A002, the service's own name for it
    """Return the text of an object with an oddity.

    Args:
        text: of the object, not compressed. Its last line is ended.
        oddity: one of `ODDITIES`; `zero-bytes` concerns the file and not its text.
        format: `jsonl`, `csv` or `tsv`.
        columns: of its table.
    """
    match oddity:
        case "empty-object" | "zero-bytes":
            return b""
        case "bom":
            return b"\xef\xbb\xbf" + text
        case "no-newline":
            return text.removesuffix(b"\n")
        case "crlf" | "blank-lines":
            end = b"\r\n" if oddity == "crlf" else b"\n\n"
            return b"".join(line + end for line in _lines(text, format))
    if format == "jsonl":
        return b"".join(line + b"\n" for line in _json_lines(_lines(text, format), oddity))
    rows = [_fields(line, format) for line in _lines(text, format)]
    separator = b"\t" if format == "tsv" else b","
    return b"".join(separator.join(row) + b"\n" for row in _rows(rows, oddity, format, columns))


def _lines(text: bytes, format: str) -> list[bytes]:  # noqa: A002, as above
    if format != "csv":
        return text.removesuffix(b"\n").split(b"\n") if text else []
    lines, start = [], 0
    for match in _CSV_FIELD.finditer(text):
        if match[2] == b"\n":
            lines.append(text[start : match.end() - 1])
            start = match.end()
    return lines


def _fields(line: bytes, format: str) -> list[bytes]:  # noqa: A002, as above
    return line.split(b"\t") if format == "tsv" else [match[1] for match in _CSV_FIELD.finditer(line + b"\n")]


# JSONL


def _json_lines(lines: list[bytes], oddity: str) -> list[bytes]:
    match oddity:
        case "no-meta":
            return [_META.sub(b"", line) for line in lines]
        case "no-ts":
            return [_TS.sub(b"", line) for line in lines]
        case "explicit-nulls":
            return _with_nulls(lines)
        case "short-line":
            return [*lines[:-1], *(line[: len(line) // 2] for line in lines[-1:])]
        case "unknown-column":
            return [_VALUE.sub(b'"value":{"x_unknown":1,', line, count=1) for line in lines]
        case "not-utf8" | "nul" | "half-surrogate":
            insert = {"not-utf8": b"\xff", "nul": rb"\u0000", "half-surrogate": rb"\ud83d"}[oddity]
            return _first_changed(lines, lambda line: _after_value(line, insert))
    return lines


def _with_nulls(lines: list[bytes]) -> list[bytes]:
    rows = [json.loads(line) for line in lines]
    names = dict.fromkeys(name for row in rows for name in row.get("value") or {})
    for row in rows:
        row["value"] = {name: row["value"].get(name) for name in names} if row.get("value") is not None else None
    return [json.dumps(row, ensure_ascii=False).encode() for row in rows]


def _after_value(line: bytes, insert: bytes) -> bytes:
    """Add something to the first text among the values of a row."""
    head, value, rest = line.partition(b'"value":')
    return head + value + _into_json(rest, insert, b'"')


# CSV and TSV


def _rows(
    rows: list[list[bytes]],
    oddity: str,
    format: str,  # noqa: A002, as above
    columns: TextColumns,
) -> list[list[bytes]]:
    if not rows:
        return []
    match oddity:
        case "unknown-column":
            return [[*row, b"1" if number else b"value.x_unknown"] for number, row in enumerate(rows)]
        case "short-line":
            return [*rows[:-1], *(row[:-1] for row in rows[-1:])]
        case "not-utf8":
            return _first_field(rows, columns.texts, lambda field: _into_text(field, b"\xff"))
        case "nul":
            insert = rb"\0" if format == "tsv" else b"\0"
            return _first_field(rows, columns.texts, lambda field: _into_text(field, insert))
        case "half-surrogate":
            quote, half = (b'"', rb"\\ud83d") if format == "tsv" else (b'""', rb"\ud83d")
            return _first_field(rows, columns.json, lambda field: _into_json(field, half, quote))
    places = _places([name.decode() for name in rows[0]], oddity)
    return [[row[place] for place in places] for row in rows]


def _places(header: list[str], oddity: str) -> list[int]:
    """Return the places of the columns that are written, in their new order."""
    places = list(range(len(header)))
    match oddity:
        case "no-meta":
            return [place for place in places if not header[place].startswith("meta.")]
        case "no-ts":
            return [place for place in places if header[place] != "meta.ts"]
        case "column-order":
            return places[::-1]
        case "repeated-column":
            return [*places, places[-1]]
    return places


def _first_field(rows: list[list[bytes]], names: Sequence[str], change: Callable[[bytes], bytes]) -> list[list[bytes]]:
    """Change the first field of these columns that can be changed."""
    header = [name.decode() for name in rows[0]]
    places = [place for place, name in enumerate(header) if name in names]
    for number, row in enumerate(rows[1:], 1):
        for place in places:
            changed = change(row[place])
            if changed != row[place]:
                return [*rows[:number], [*row[:place], changed, *row[place + 1 :]], *rows[number + 1 :]]
    return rows


def _into_text(field: bytes, insert: bytes) -> bytes:
    """Add something to a text; a null, and a text without a letter at its end, stay."""
    end = field.removesuffix(b'"')
    return end + insert + field[len(end) :] if end[-1:].isalpha() and field != rb"\N" else field


def _into_json(field: bytes, insert: bytes, quote: bytes) -> bytes:
    """Add something to the first text inside JSON."""
    end = re.compile(re.escape(quote) + rb"(?=[,}\]])")
    return end.sub(lambda match: insert + match[0], field, count=1)


def _first_changed(lines: list[bytes], change: Callable[[bytes], bytes]) -> list[bytes]:
    for number, line in enumerate(lines):
        if (changed := change(line)) != line:
            return [*lines[:number], changed, *lines[number + 1 :]]
    return lines
