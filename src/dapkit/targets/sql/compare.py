"""Compares a live table with the same table as it should be, over a session that has both."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dapkit.errors import ConcurrentUpdateError
from dapkit.model import Column, Table
from dapkit.results import Comparison, ValueDifference
from dapkit.schema import read_table
from dapkit.targets.base import ExpectedTable, SyncState
from dapkit.targets.sql.compare_sql import EXAMPLES, ComparingSql, same_json

if TYPE_CHECKING:
    from dapkit.targets.sql.session import SqlSession

__all__ = ["compared"]


def compared(session: "SqlSession", truth: ExpectedTable, made: Table, stale: str | None) -> Comparison:
    """Return how a live table differs from the one that was made anew.

    Args:
        session: within a transaction that has both.
        truth: what the live table should hold.
        made: the table that holds it.
        stale: the temporary table with keys of which nothing can be said, as SQL writes its name.

    Raises:
        ConcurrentUpdateError: somebody else changed the live table meanwhile.
        SchemaChangeNotSupportedError: the two tables have other keys.
    """
    live = read_table(truth.live.schema)
    said = replace(made, value=tuple(column for column in made.value if column.name not in truth.incomplete_columns))
    sql = ComparingSql(dialect=session.dialect, live=live, truth=said, columns_not_compared=stale, sample=truth.sample)
    sql.require_keys()
    missing, extra, repeated = (_counted(session, each) for each in (sql.missing(), sql.extra(), sql.repeated()))
    met, *sums = session.query(sql.differences())[0]
    suspects = [(column, int(number)) for column, number in zip(sql.columns, sums, strict=True) if number]
    differing = {column.name: _differing(session, sql, column, number) for column, number in suspects}
    rows = session.query(f"SELECT {session.dialect.count_all} FROM {session.dialect.of(live)}")[0][0]
    _require_unmoved(session, truth.live)
    return Comparison(
        rows=int(rows),
        compared=int(met),
        missing=missing[0],
        extra=extra[0],
        repeated=repeated[0],
        differing={name: number for name, (number, _) in differing.items() if number},
        missing_keys=missing[1],
        extra_keys=extra[1],
        repeated_keys=repeated[1],
        values=tuple(value for _, values in differing.values() for value in values),
        columns_not_compared=sql.not_compared,
    )


def _counted(session: "SqlSession", sql: str) -> tuple[int, tuple[tuple[Any, ...], ...]]:
    """Return how many rows a statement selects, and some of them."""
    dialect = session.dialect
    number = int(session.query(f"SELECT {dialect.count_all} FROM ({sql}) AS found")[0][0])
    return number, tuple(session.query(dialect.limited(sql, EXAMPLES))) if number else ()


def _differing(
    session: "SqlSession", sql: ComparingSql, column: Column, number: int
) -> tuple[int, list[ValueDifference]]:
    """Return in how many rows a column differs, and some of its values; JSON may be the same in other words."""
    examples = sql.examples(column)
    if session.dialect.is_loose(sql.live, column):
        rows, number = [], 0
        for row in session.each(examples):
            if not same_json(row[-2], row[-1]):
                number += 1
                rows += [row] if number <= EXAMPLES else []
    else:
        rows = session.query(session.dialect.limited(examples, EXAMPLES))
    return number, [ValueDifference(key=r[:-2], column=column.name, actual=r[-2], expected=r[-1]) for r in rows]


def _require_unmoved(session: "SqlSession", live: SyncState) -> None:
    """Raise ConcurrentUpdateError when the table's watermark changed during the comparison."""
    line = session.sync_states(live.namespace).get(live.table)
    if line is None or line.watermark != live.watermark:
        raise ConcurrentUpdateError(f"Table {live.table} was changed by somebody else meanwhile", table=live.table)
