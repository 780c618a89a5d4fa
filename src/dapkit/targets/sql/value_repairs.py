"""Values that a database cannot store: counted by column, or rejected on request; their originals are kept in a file.

The file has one JSON object per line, and only its owner can read it:

    {"namespace": "canvas", "table": "users", "key": {"id": "7"}, "column": "name", "value": "…"}

Key and value are the service's own text. Lines are written when the rows of a load have
been read, or earlier if there are many: a load that fails may leave some of them in the file.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from dapkit.decode.value_check import shown_key, shown_value
from dapkit.errors import BadValueError
from dapkit.targets.base import BadValues, Load

_MAX_BUFFERED_LINES = 10_000
"""How many lines are kept in memory before they are written."""


class ValueRepairs:
    """The repairs of one load.

    Attributes:
        counts: how many values were repaired, by column.
    """

    def __init__(self, load: Load, product: str) -> None:
        self.counts: Counter[str] = Counter(load.files.repaired)
        self._product = product
        self._table = load.table
        self._options = load.options
        self._lines: list[str] = []

    def note(self, column: str, key: Mapping[str, str | None], original: str, repairable: bool = True) -> None:
        """Note a value that is repaired.

        Raises:
            BadValueError: values must not be repaired, or this one cannot be. It names column, row and value.
        """
        if not repairable or self._options.bad_values is BadValues.FAIL:
            value = f"the value {shown_value(original)} of column {column} ({shown_key(key)})"
            message = f"{self._product} cannot store {value}"
            raise BadValueError(message, table=self._table.name)
        self.counts[column] += 1
        if self._options.side_file is not None:
            table = {"namespace": self._table.namespace, "table": self._table.name}
            line = table | {"key": dict(key), "column": column, "value": original}
            self._lines.append(json.dumps(line, ensure_ascii=False) + "\n")
            if len(self._lines) >= _MAX_BUFFERED_LINES:
                self.save()

    def note_originals(self, originals: Iterable[str], *, required: frozenset[str] = frozenset()) -> None:
        """Note what `dapkit.decode.tsv_sql.originals` selected.

        Args:
            originals: the JSON text of each row that has bad values.
            required: columns whose bad values become null although they must not be null.
        """
        for text in originals:
            row = json.loads(text)
            for column, value in row["values"].items():
                if value is not None:
                    self.note(column, row["key"], value, repairable=column not in required)

    def save(self) -> None:
        """Append the originals to the side file. Raises OSError."""
        if self._options.side_file is not None and self._lines:
            _append(self._options.side_file, self._lines)
            self._lines.clear()


def _append(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.writelines(lines)
