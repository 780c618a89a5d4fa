"""Creates the files of a wide table as the service sends them: its schema, its rows and changes, also uncompressed.

    python bench/wide_table.py FOLDER ROWS CHANGES

Rows have 24 columns, among them texts with every escape. It runs in a separate process, because the system includes a
parent's memory in the peak of its children.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

import duckdb

PART_ROWS = 250_000
STATES = ("active", "deleted", "completed", "unpublished", "__dap_unspecified__")
Node = dict[str, object]
_TEXT: Node = {"type": "string"}
_MOMENT: Node = {"type": "string", "format": "date-time"}
_ID: Node = {"type": "integer", "format": "int64"}

COLUMNS: dict[str, tuple[Node, str]] = {
    **{f"{name}_id": (_ID, f"(hash(i * 64 + {k}) % 1000000)::VARCHAR") for k, name in enumerate(("user", "course"))},
    **{
        f"{name}_id": (_ID, rf"CASE WHEN hash(i) % 3 = {k} THEN '\N' ELSE (hash(i * 64 + {k}) % 90000)::VARCHAR END")
        for k, name in enumerate(("group", "section", "grader"))
    },
    **{
        f"{name}_at": (
            _MOMENT,
            f"strftime(TIMESTAMP '2024-01-01' + to_seconds(hash(i * 64 + {k}) % 31536000), '%Y-%m-%dT%H:%M:%S.%gZ')",
        )
        for k, name in enumerate(("created", "updated", "submitted", "graded"), 8)
    },
    **{
        name: ({"type": "boolean"}, f"(hash(i * 64 + {k}) % 2 = 0)::VARCHAR")
        for k, name in enumerate(("late", "excused"), 12)
    },
    "score": ({"type": "number", "format": "float64"}, "((hash(i * 64 + 14) % 10000) / 100.0)::VARCHAR"),
    "position": ({"type": "integer", "format": "int32"}, "(hash(i * 64 + 25) % 9999)::VARCHAR"),
    "attempt": ({"type": "integer", "format": "int32"}, "(hash(i * 64 + 15) % 9)::VARCHAR"),
    "workflow_state": ({"type": "string", "enum": list(STATES)}, f"{list(STATES)!r}[1 + (hash(i * 64 + 16) % 4)::INT]"),
    **{
        name: (_TEXT | {"maxLength": 255}, f"concat('{name} ', hash(i * 64 + {k}) % 5000, ' of ', hash(i * 64 + {k}))")
        for k, name in enumerate(("name", "code", "url", "source", "locale"), 17)
    },
    "uuid": ({"type": "string", "format": "uuid"}, "md5(i::VARCHAR)::UUID::VARCHAR"),
    **{
        name: (_TEXT, rf"""concat('<p>', substr('{words}', 1, 30 + (hash(i * 64 + {k}) % 170)::INT),
            CASE WHEN hash(i * 64 + {k}) % 4 = 0 THEN '\n\tC:\\temp\\x\r\n' ELSE ' é😀' END, hash(i), '</p>')""")
        for (k, name), words in zip(
            enumerate(("body", "comment"), 23),
            ("the quick brown fox jumps over the lazy dog " * 6, "a text is made of words, and words of letters; " * 6),
            strict=True,
        )
    },
}  # fmt: skip
"""By name: the schema of a column, and its text in a file as an expression over the row's number `i`."""


def schema() -> Node:
    """Return the table's JSON Schema."""
    value = {name: node for name, (node, _) in COLUMNS.items() if name != "id"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "key": {"type": "object", "properties": {"id": _ID}, "required": ["id"]},
            "value": {"type": "object", "properties": value, "required": ["user_id", "created_at", "workflow_state"]},
        },
        "required": ["key"],
    }


def header(*, action: bool) -> str:
    """Return the header line."""
    meta = ["meta.ts", *(["meta.action"] if action else [])]
    return "\t".join([*meta, "key.id", *(f"value.{name}" for name in COLUMNS)])


def _line(*, action: str = "") -> str:
    values = ", '\t', ".join(sql for _, sql in COLUMNS.values())
    mark = f"{action!r}, '\t', " if action else ""
    return f"concat('2025-01-01T00:00:00.000Z', '\t', {mark}i, '\t', {values})"


def _write(rows: str, path: Path, *, action: bool) -> None:
    """Write lines to two files: uncompressed without a header, and as a gzip file with one."""
    plain = path.with_suffix(".tsv")
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO '{plain}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIM '\x01')")
    with gzip.open(f"{plain}.gz", "wb", compresslevel=1) as part, plain.open("rb") as lines:
        part.write(header(action=action).encode() + b"\n")
        shutil.copyfileobj(lines, part, 1 << 20)


def make(folder: Path, rows: int, changes: int) -> None:
    """Create the folder, which gets its name only when it is complete."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for number, low in enumerate(range(0, rows, PART_ROWS)):
        high = min(low + PART_ROWS, rows)
        _write(f"SELECT {_line()} FROM range({low}, {high}) t(i)", temporary / f"part-{number:05}", action=False)
    updated, new, deleted = changes * 9 // 10, changes // 20, changes // 20
    step = rows // updated
    deletion = "concat('2025-01-01T00:00:00.000Z', '\t', 'D', '\t', i, repeat('\t\\N', " + f"{len(COLUMNS)}))"
    _write(
        f"SELECT {_line(action='U')} FROM range(0, {updated * step}, {step}) t(i)"
        f" UNION ALL SELECT {_line(action='U')} FROM range({rows}, {rows + new}) t(i)"
        f" UNION ALL SELECT {deletion} FROM range(1, {deleted * step + 1}, {step}) t(i)",
        temporary / "changes",
        action=True,
    )
    (temporary / "schema.json").write_text(json.dumps(schema()))
    temporary.rename(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
