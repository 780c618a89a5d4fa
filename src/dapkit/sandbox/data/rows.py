"""The rows of a table as one SELECT, in stages from row numbers to values.

The stages define columns that later stages and the templates of `column_generators` use: `i` (row number), `age` (of
the data at birth), `born`, `death`, `e0, e1, …` (times of the latest events so far) and `ts` (the latest of all), all
in milliseconds; `deleted`; `seed` and `changing` (hashes of the row, and of the row in its state since `ts`).

A value may depend on time only through these columns. Otherwise it would change without an event, and a snapshot would
differ from the previous one plus its increment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dapkit.sandbox.data.catalogue import Table
from dapkit.sandbox.data.relations import Relations
from dapkit.sandbox.data.timeline import ORIGIN, Event, Range, born_sql
from dapkit.sandbox.data.values import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The state at `until`; with `since`, only rows that changed in (since, until]. Milliseconds since 1970."""

    until: int
    since: int | None = None


def rows_sql(table: Table, relations: Relations, values: Values, ranges: Sequence[Range], interval: Interval) -> str:
    """Return a query for the rows of the given ranges, ordered by row number.

    Its columns are `ts`, `action`, `k0…`, `v0…`, each in its physical type. A row that is deleted for good is absent
    from a snapshot; in an increment its action is D and its values are null.
    """
    soft = relations.soft_deletes(table)
    present = "true" if soft else "NOT deleted"
    # The ranges also contain rows whose jitter or luck puts their event elsewhere. `ts <= until` always holds.
    condition = present if interval.since is None else f"ts > {interval.since}"
    keys = [values.key(position) for position in range(len(table.key))]
    contents = [values.value(column) for column in table.value]
    if not soft and interval.since is not None:
        contents = [f"CASE WHEN NOT deleted THEN {sql} END" for sql in contents]
    columns = [
        "make_timestamp(ts * 1000) AS ts",
        "'U' AS action" if soft else "CASE WHEN deleted THEN 'D' ELSE 'U' END AS action",
        *(f"{sql} AS k{number}" for number, sql in enumerate(keys)),
        *(f"{sql} AS v{number}" for number, sql in enumerate(contents)),
    ]
    # Hashes are columns of a subquery, because DuckDB would compute a repeated expression each time.
    hashes = "".join(f", {definition} AS {name}" for name, definition in values.hashes.items())
    return (
        f"SELECT {', '.join(columns)} FROM "
        f"(SELECT *{hashes} FROM "
        "(SELECT *, (hash(xor(seed, ts)) >> 2)::BIGINT AS changing FROM "
        f"({_states(table, relations, ranges, interval)}) WHERE {condition}))"
    )


def _states(table: Table, relations: Relations, ranges: Sequence[Range], interval: Interval) -> str:
    """Return SQL for the state of each row: when it was born, what has happened to it, and whether it is deleted."""
    timeline = relations.timeline(table.qualified)
    final = next((event for event in timeline.events if event.final), None)
    events = [event for event in timeline.events if not event.final]
    numbers = ", ".join(f"({low}::BIGINT, {high}::BIGINT)" for low, high in ranges or [(0, 0)])
    death = _event_time(final, 0, interval.until) if final else "NULL::BIGINT"
    # Nothing happens to a row after its deletion, so the deletion is the horizon of all other events.
    horizon = f"least({interval.until}, coalesce(death, {interval.until}))"
    event_times = "".join(
        f", {_event_time(event, 1 + number, horizon)} AS e{number}" for number, event in enumerate(events)
    )
    # greatest() ignores nulls: events that have not happened do not count.
    times = ", ".join(("born", "death", *(f"e{number}" for number in range(len(events)))))
    return (
        f"SELECT *, greatest({times}) AS ts, death IS NOT NULL AS deleted FROM "
        f"(SELECT *{event_times} FROM "
        f"(SELECT *, {death} AS death FROM "
        f"(SELECT i, age, {ORIGIN} + age AS born, {relations.seed_sql(table.qualified, 'i')} AS seed FROM "
        f"(SELECT i, {born_sql(timeline, 'i')} AS age FROM "
        f"(SELECT unnest(range(low, high)) AS i FROM (VALUES {numbers}) AS ranges(low, high))))))"
    )


def _event_time(event: Event, number: int, horizon: int | str) -> str:
    """Return SQL for when an event last happened to a row; null if it has not happened by the horizon."""
    # Luck and jitter each hash a separate integer. (DuckDB combines the hashes of several arguments by xor, so
    # hash(i, k) for two numbers k differ by a constant, and the "random" decisions would depend on each other.)
    # The slots lie beyond 32 bits, where the slots of column values cannot reach: those are CRC-32s of names.
    slot = (1 << 40) + 4 * number
    happens = f"(hash(xor(seed, {slot + 1}::BIGINT)) >> 48)::BIGINT < {event.threshold}"
    jitter = f"(hash(xor(seed, {slot + 2}::BIGINT)) >> 2)::BIGINT % {event.jitter}"
    first = f"(born + {event.lag} + {jitter})"
    # The latest repetition follows by integer division, however many there were. DuckDB's // truncates towards zero,
    # which is safe because the CASE requires first <= horizon.
    last = first if event.period is None else f"{first} + ({horizon} - {first}) // {event.period} * {event.period}"
    return f"CASE WHEN {happens} AND {first} <= {horizon} THEN {last} END"
