"""A stand-in for the driver of SQL Server that takes down every call, and answers questions as it is told to.

There is no SQL Server to test on. So that the stand-in cannot lie, each call is bound to the signature of the real
driver's method, and the errors are the driver's own. What the server would make of the SQL it does not know.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mssql_python
from mssql_python.exceptions import sqlstate_to_exception

__all__ = ["Copied", "Driver", "refusal"]

Rows = Sequence[tuple[Any, ...]]
Answer = Rows | Exception | Callable[[], Rows]


def refusal(state: str, words: str) -> Exception:
    """Return what the driver raises when the server refuses."""
    error = sqlstate_to_exception(state, f"[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{words}")
    assert error is not None
    return error


@dataclass(frozen=True)
class Copied:
    """A bulk copy: the table, its rows, and how it was asked for; whether a transaction was open beside it."""

    table: str
    rows: list[tuple[Any, ...]]
    options: Mapping[str, Any]
    within: bool


@dataclass
class Driver:
    """A connection, and what was done over it.

    Attributes:
        answers: by a pattern in a batch its rows, an error, or what gives the rows; the last one that fits counts.
        said: every batch, bulk copies as `COPY table`.
        values: the parameters of every batch, in the same order.
        copied: every bulk copy.
        counts: by a pattern in a batch how many rows it changed.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    values: list[tuple[Any, ...]] = field(default_factory=list)
    copied: list[Copied] = field(default_factory=list)
    closed: bool = False
    depth: int = 0

    def cursor(self) -> "DriverCursor":
        _bound(mssql_python.Connection.cursor)
        return DriverCursor(self)

    def close(self) -> None:
        _bound(mssql_python.Connection.close)
        self.closed = True

    def batches(self, pattern: str = "") -> list[str]:
        """Return what was said that has a pattern in it."""
        return [batch for batch in self.said if re.search(pattern, batch)]

    def within(self, start: str = "BEGIN TRANSACTION", end: str = "COMMIT TRANSACTION") -> list[str]:
        """Return what was said in the only transaction."""
        assert self.said.count(start) == self.said.count(end) == 1
        return self.said[self.said.index(start) + 1 : self.said.index(end)]


class DriverCursor:
    """A cursor of the stand-in."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._rows: Rows | None = None
        self._later: Exception | None = None
        self.rowcount = -1

    @property
    def description(self) -> list[tuple[str]] | None:
        return None if self._rows is None else [("column",)]

    def execute(self, *args: Any, **kwargs: Any) -> "DriverCursor":
        call = _bound(mssql_python.Cursor.execute, *args, **kwargs)
        sql, (values,) = call["operation"], call.get("parameters") or ((),)
        assert sql.count("?") == len(values), sql
        self._driver.said.append(sql)
        self._driver.values.append(tuple(values))
        self._rows, self._later = None, None
        answer = next((each for text, each in reversed(self._driver.answers.items()) if re.search(text, sql)), None)
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            self._rows = answer() if callable(answer) else answer
        elif re.match(r"\s*SELECT(?! .* INTO )", sql) or "SELECT @held" in sql:
            self._rows = []
        self.rowcount = next((n for text, n in self._driver.counts.items() if re.search(text, sql)), -1)
        self._driver.depth += sql.startswith("BEGIN TRANSACTION") - (
            "COMMIT TRAN" in sql or "ROLLBACK TRANSACTION" in sql
        )
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        _bound(mssql_python.Cursor.fetchall)
        assert self._rows is not None, "there is no result"
        return list(self._rows)

    def nextset(self) -> bool:
        _bound(mssql_python.Cursor.nextset)
        return False

    def bulkcopy(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        call = _bound(mssql_python.Cursor.bulkcopy, *args, **kwargs)
        table, data = call.pop("table_name"), call.pop("data")
        self._driver.said.append(f"COPY {table}")
        self._driver.values.append(())
        try:
            rows = list(data)
        except Exception as error:  # as the real one does
            raise RuntimeError("Error reading row from Python iterator: …") from error
        assert all(isinstance(row, tuple) for row in rows)
        self._driver.copied.append(Copied(table, rows, call, self._driver.depth > 0))
        return {"rows_copied": len(rows)}

    def close(self) -> None:
        _bound(mssql_python.Cursor.close)


def _bound(method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Bind a call to the real method and return its arguments by name; what it would not take is a TypeError."""
    found = inspect.signature(method).bind(None, *args, **kwargs).arguments
    found.pop("self", None)
    return dict(found)
