"""Values that a database cannot hold: counted by column, their originals written to the side file, never silently."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

from dapkit.errors import BadValueError
from dapkit.targets.base import BadValues, Load

__all__ = ["Repairs"]

_SPOOL = 1 << 20


class Repairs:
    r"""What was repaired while one table was loaded; the side file gets it at the end, if the load did not fail.

    Example:
        with Repairs(load, "PostgreSQL") as repairs:
            repairs.note("name", {"id": "7"}, "a\0b")
        counts = repairs.counts
    """

    def __init__(self, load: Load, database: str) -> None:
        self.counts: Counter[str] = Counter()
        self._table = load.table
        self._database = database
        self._options = load.options
        # Closed by __exit__; the file gets no line of a load that fails.
        self._lines = SpooledTemporaryFile(max_size=_SPOOL, mode="w+", encoding="utf-8")  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.counts and self._options.side_file is not None:
            self._lines.seek(0)
            handle = os.open(self._options.side_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "a", encoding="utf-8") as file:
                shutil.copyfileobj(self._lines, file)
        self._lines.close()

    def note(self, column: str, key: Mapping[str, str | None], original: str, *, repairable: bool = True) -> None:
        """Take down a value that is repaired.

        Raises:
            BadValueError: values are not to be repaired, or this one cannot be.
        """
        if not repairable or self._options.bad_values is BadValues.FAIL:
            row = ", ".join(f"{name} {value}" for name, value in key.items())
            message = f"{self._database} cannot hold {original[:80]!r} in column {column} ({row})"
            raise BadValueError(message, table=self._table.name)
        self.counts[column] += 1
        if self._options.side_file is not None:
            line = {
                "namespace": self._table.namespace,
                "table": self._table.name,
                "key": dict(key),
                "column": column,
                "value": original,
            }
            self._lines.write(json.dumps(line, ensure_ascii=False) + "\n")
