"""The file that keeps the originals of repaired values: one JSON object a line, for its owner's eyes only.

    {"namespace": "canvas", "table": "users", "key": {"id": "7"}, "column": "name", "value": "…"}

Key and value are the service's own text. A load that fails after a repair leaves its lines there too.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dapkit.model import Table

__all__ = ["Repair", "append"]


@dataclass(frozen=True, slots=True)
class Repair:
    """A value that the database cannot hold, as it came; `key` says by column in which row."""

    key: Mapping[str, str | None]
    column: str
    value: str


def append(path: Path, table: Table, repairs: Iterable[Repair]) -> None:
    """Add the originals to the file, which is made where it is missing.

    Raises:
        OSError: it cannot be written.
    """
    place = {"namespace": table.namespace, "table": table.name}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        for repair in repairs:
            line = place | {"key": dict(repair.key), "column": repair.column, "value": repair.value}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
