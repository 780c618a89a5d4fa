"""A stand-in for a connection of SQL Server's driver, which records every call and returns prepared answers.

There is no SQL Server to test on. To stay realistic, the stand-in binds each call to the signature of the real driver's
method, and its errors are the driver's own. It does not know how the server would execute the SQL.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mssql_python
from mssql_python.exceptions import sqlstate_to_exception

__all__ = ["BulkCopy", "StandInConnection", "rejection"]

Rows = Sequence[tuple[Any, ...]]
Answer = Rows | Exception | Callable[[], Rows]


def rejection(state: str, words: str) -> Exception:
    """Return what the driver raises when the server rejects a statement."""
    error = sqlstate_to_exception(state, f"[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{words}")
    assert error is not None
    return error


@dataclass(frozen=True)
class BulkCopy:
    """A bulk copy: the table, its rows and options, and whether a transaction was open at that time."""

    table: str
    rows: list[tuple[Any, ...]]
    options: Mapping[str, Any]
    within: bool


@dataclass
class StandInConnection:
    """A connection, and what was done over it.

    Attributes:
        answers: by a pattern in a batch its rows, an error, or a function that returns the rows; the last match counts.
        counts: by a pattern in a batch how many rows it changed.
        batches: every batch; bulk copies as `COPY table`.
        values: the parameters of each batch, in the same order.
        copies: every bulk copy.
        later: an error that comes with the second result of a batch.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    batches: list[str] = field(default_factory=list)
    values: list[tuple[Any, ...]] = field(default_factory=list)
    copies: list[BulkCopy] = field(default_factory=list)
    later: Exception | None = None
    closed: bool = False
    depth: int = 0

    def cursor(self) -> "StandInCursor":
        _bound(mssql_python.Connection.cursor)
        return StandInCursor(self)

    def close(self) -> None:
        _bound(mssql_python.Connection.close)
        self.closed = True

    def forget(self) -> None:
        """Forget the batches so far."""
        self.batches.clear()
        self.values.clear()

    def found(self, pattern: str) -> list[str]:
        """Return the batches that have a pattern in them."""
        return [batch for batch in self.batches if re.search(pattern, batch)]

    def within(self) -> list[str]:
        """Return the batches of the only transaction."""
        start, end = (self.batches.index(f"{word} TRANSACTION") for word in ("BEGIN", "COMMIT"))
        assert len(self.found("^(BEGIN|COMMIT) TRANSACTION")) == 2
        return self.batches[start + 1 : end]

    def answer(self, batch: str, values: Sequence[Any] = ()) -> Rows | None:
        """Record a batch and return its rows."""
        self.batches.append(batch)
        self.values.append(tuple(values))
        answer = next((each for text, each in reversed(self.answers.items()) if re.search(text, batch)), None)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


class StandInCursor:
    """A cursor of the stand-in."""

    def __init__(self, connection: StandInConnection) -> None:
        self._connection = connection
        self._rows: Rows | None = None
        self.rowcount = -1

    @property
    def description(self) -> list[tuple[str]] | None:
        return None if self._rows is None else [("column",)]

    def execute(self, *args: Any, **kwargs: Any) -> "StandInCursor":
        call = _bound(mssql_python.Cursor.execute, *args, **kwargs)
        sql, (values,) = call["operation"], call.get("parameters") or ((),)
        assert sql.count("?") == len(values), sql
        self._rows = self._connection.answer(sql, values)
        if self._rows is None and (re.match(r"\s*SELECT(?! .* INTO )", sql) or "SELECT @held" in sql):
            self._rows = []
        self.rowcount = next((n for text, n in self._connection.counts.items() if re.search(text, sql)), -1)
        ended = "COMMIT TRANSACTION" in sql or "@@TRANCOUNT > 0 ROLLBACK" in sql
        self._connection.depth += sql.startswith("BEGIN TRANSACTION") - ended
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        _bound(mssql_python.Cursor.fetchall)
        assert self._rows is not None, "there is no result"
        return list(self._rows)

    def nextset(self) -> bool:
        _bound(mssql_python.Cursor.nextset)
        if self._connection.later is not None:
            raise self._connection.later
        return False

    def bulkcopy(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        call = _bound(mssql_python.Cursor.bulkcopy, *args, **kwargs)
        table, data = call.pop("table_name"), call.pop("data")
        try:
            rows = list(data)
        except Exception as error:  # as the real one does
            raise RuntimeError("Error reading row from Python iterator: …") from error
        self._connection.answer(f"COPY {table}")
        assert all(isinstance(row, tuple) for row in rows)
        self._connection.copies.append(BulkCopy(table, rows, call, self._connection.depth > 0))
        return {"rows_copied": len(rows)}


def _bound(method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Bind a call to the real method and return its arguments by name; invalid arguments raise TypeError."""
    found = inspect.signature(method).bind(None, *args, **kwargs).arguments
    found.pop("self", None)
    return dict(found)
