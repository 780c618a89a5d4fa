"""Values that the server cannot hold: counted by column, their originals kept in the side file, never silently."""

from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from dapkit.errors import BadValueError
from dapkit.targets.base import BadValues, Load
from dapkit.targets.repairs import Repair, append

__all__ = ["Repairs"]

_MOST_HELD = 10_000


class Repairs:
    """What is repaired while one table is loaded.

    Example:
        with Repairs(load) as repairs:
            repairs.note("name", {"id": "7"}, original)
        counts = repairs.counts
    """

    def __init__(self, load: Load) -> None:
        self.counts: Counter[str] = Counter()
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
            message = f"PostgreSQL cannot hold {original[:80]!r} in column {column} ({row})"
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
