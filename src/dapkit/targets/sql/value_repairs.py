"""Values that a database cannot hold: counted by column, refused if that is asked for, their originals kept in a file.

The file has one JSON object a line, and is for its owner's eyes only:

    {"namespace": "canvas", "table": "users", "key": {"id": "7"}, "column": "name", "value": "…"}

Key and value are the service's own text. A load that fails after a repair leaves its lines there too.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dapkit.errors import BadValueError
from dapkit.model import Table
from dapkit.targets.base import BadValues, Load

__all__ = ["Repair", "Repairs", "append", "settle"]

_MOST_HELD = 10_000


@dataclass(frozen=True, slots=True)
class Repair:
    """A value that the database cannot hold, as it came; `key` says by column in which row."""

    key: Mapping[str, str | None]
    column: str
    value: str


def settle(load: Load, originals: Iterable[str]) -> dict[str, int]:
    """Count the repairs of a load by column and keep them in its side file.

    Args:
        load: what is loaded, and how.
        originals: what `dapkit.decode.tsv_sql.originals` gives for the rows that have some.

    Raises:
        BadValueError: the load does not want any.
        OSError: the side file cannot be written.
    """
    repairs = [repair for text in originals for repair in _repairs(text)]
    counts = dict(Counter(repair.column for repair in repairs))
    if repairs and load.options.bad_values is BadValues.FAIL:
        named = ", ".join(f"{column} ({count:,})" for column, count in counts.items())
        raise BadValueError(f"Values that this database cannot hold: {named}", table=load.table.name)
    if repairs and load.options.side_file is not None:
        append(load.options.side_file, load.table, repairs)
    return counts


def _repairs(text: str) -> list[Repair]:
    row = json.loads(text)
    return [Repair(row["key"], column, value) for column, value in row["values"].items() if value is not None]


def append(path: Path, table: Table, repairs: Iterable[Repair]) -> None:
    """Add originals to the file, which is made with its folder where they are missing.

    Raises:
        OSError: it cannot be written.
    """
    place = {"namespace": table.namespace, "table": table.name}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        for repair in repairs:
            line = place | {"key": dict(repair.key), "column": repair.column, "value": repair.value}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


class Repairs:
    """What is repaired while one table is loaded into a database, `where` is its kind's name.

    Example:
        with Repairs(load, "PostgreSQL") as repairs:
            repairs.note("name", {"id": "7"}, original)
        counts = repairs.counts
    """

    def __init__(self, load: Load, where: str) -> None:
        self.counts: Counter[str] = Counter()
        self._where = where
        self._table = load.table
        self._options = load.options
        self._held: list[Repair] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write()

    def note(self, column: str, key: Mapping[str, str | None], original: str, *, repairable: bool = True) -> None:
        """Take down a value that is repaired.

        Raises:
            BadValueError: values are not to be repaired, or this one cannot be.
        """
        if not repairable or self._options.bad_values is BadValues.FAIL:
            row = ", ".join(f"{name} {value}" for name, value in key.items())
            message = f"{self._where} cannot hold {original[:80]!r} in column {column} ({row})"
            raise BadValueError(message, table=self._table.name)
        self.counts[column] += 1
        if self._options.side_file is not None:
            self._held.append(Repair(key, column, original))
            if len(self._held) >= _MOST_HELD:
                self._write()

    def _write(self) -> None:
        if self._options.side_file is not None and self._held:
            append(self._options.side_file, self._table, self._held)
            self._held.clear()
