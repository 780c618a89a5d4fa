"""The rows of a table in some ranges, as one SELECT: in stages from row number to values.

The stages name columns that later ones and the templates of `meanings.py` use: `i` (row number), `age` (of the
college at birth), `born`, `death`, `e0, e1, …` (times of events so far) and `ts` (the last of them all), in
milliseconds, `gone` (deleted), `seed` and `changing` (hashes of the row, and of the row as it is since `ts`).
A value may depend on time only through these: that keeps snapshots and increments of one mind.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.sandbox.data.catalogue import Table
from dapkit.sandbox.data.relations import Relations
from dapkit.sandbox.data.timeline import ORIGIN, Event, Range, born_sql
from dapkit.sandbox.data.values import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The state at `until`; with `since`, only rows that changed in (since, until]. Milliseconds since 1970."""

    until: int
    since: int | None = None


def rows_sql(table: Table, relations: Relations, values: Values, ranges: Sequence[Range], span: Span) -> str:
    """Return a query for the rows of the given ranges, in the order of their numbers.

    Its columns are `ts`, `action`, `k0…`, `v0…`, each in its physical type. A row that is deleted for good is
    left out of a snapshot; in an increment its action is D and its values are null.
    """
    soft = relations.soft_deletes(table)
    keys = [values.key(position) for position in range(len(table.key))]
    contents = [values.value(column) for column in table.value]
    if not soft and span.since is not None:
        contents = [f"CASE WHEN NOT gone THEN {sql} END" for sql in contents]
    columns = [
        "make_timestamp(ts * 1000) AS ts",
        "'U' AS action" if soft else "CASE WHEN gone THEN 'D' ELSE 'U' END AS action",
        *(f"{sql} AS k{number}" for number, sql in enumerate(keys)),
        *(f"{sql} AS v{number}" for number, sql in enumerate(contents)),
    ]
    hashes = "".join(f", {definition} AS {name}" for name, definition in values.hashes.items())
    return (
        f"SELECT {', '.join(columns)} FROM "
        f"(SELECT *{hashes} FROM "
        "(SELECT *, (hash(xor(seed, ts)) >> 2)::BIGINT AS changing FROM "
        f"({_states(table, relations, ranges, span)}) WHERE {_wanted(span, soft=soft)}))"
    )


def count_sql(table: Table, relations: Relations, ranges: Sequence[Range], span: Span) -> str:
    """Return a query for the number of those rows."""
    wanted = _wanted(span, soft=relations.soft_deletes(table))
    return f"SELECT count(*) FROM ({_states(table, relations, ranges, span)}) WHERE {wanted}"


def _wanted(span: Span, *, soft: bool) -> str:
    if span.since is not None:
        return f"ts > {span.since}"
    return "true" if soft else "NOT gone"


def _states(table: Table, relations: Relations, ranges: Sequence[Range], span: Span) -> str:
    """Return SQL for the state of each row: when it was born, what has happened to it, whether it is gone."""
    timeline = relations.timeline(table.qualified)
    final = next((event for event in timeline.events if event.final), None)
    events = [event for event in timeline.events if not event.final]
    numbers = ", ".join(f"({low}::BIGINT, {high}::BIGINT)" for low, high in ranges or [(0, 0)])
    death = _occurrence(final, "death", span.until) if final else "NULL::BIGINT"
    happened = "".join(
        f", {_occurrence(event, f'event{number}', f'least({span.until}, coalesce(death, {span.until}))')} AS e{number}"
        for number, event in enumerate(events)
    )
    moments = ", ".join(("born", "death", *(f"e{number}" for number in range(len(events)))))
    return (
        f"SELECT *, greatest({moments}) AS ts, death IS NOT NULL AS gone FROM "
        f"(SELECT *{happened} FROM "
        f"(SELECT *, {death} AS death FROM "
        f"(SELECT i, age, {ORIGIN} + age AS born, {relations.seed_sql(table.qualified, 'i')} AS seed FROM "
        f"(SELECT i, {born_sql(timeline, 'i')} AS age FROM "
        f"(SELECT unnest(range(low, high)) AS i FROM (VALUES {numbers}) AS ranges(low, high))))))"
    )


def _occurrence(event: Event, name: str, horizon: int | str) -> str:
    """Return SQL for when an event last happened to a row, null when it has not by the horizon."""
    luck = f"(hash(xor(seed, {_slot(name, 1)}::BIGINT)) >> 48)::BIGINT < {event.threshold}"
    jitter = f"(hash(xor(seed, {_slot(name, 2)}::BIGINT)) >> 2)::BIGINT % {event.jitter}"
    first = f"(born + {event.lag} + {jitter})"
    last = first if event.every is None else f"{first} + ({horizon} - {first}) // {event.every} * {event.every}"
    return f"CASE WHEN {luck} AND {first} <= {horizon} THEN {last} END"


def _slot(name: str, part: int) -> int:
    """Return what sets one event's hashes apart: beyond the reach of the slots that values use."""
    number = 0 if name == "death" else 1 + int(name.removeprefix("event"))
    return (1 << 40) + 4 * number + part
