"""Which row another row points to, by arithmetic: no look-ups, and what is pointed to is never younger.

A table may belong to an owner, so that row i belongs to the owner's row i // each; the chain of owners ends at a
table with a growth of its own. A reference is then resolved by the first of these that fits:

1. a table in the row's own chain: that ancestor;
2. people, from within a course: someone who takes part in the course;
3. a table that shares an ancestor with the row: one of that ancestor's rows that is born already;
4. any other: one of the younger rows that are born already.

The SQL reads these columns of the row: `i` (its number), `age` (of the college at its birth, in milliseconds).
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from dapkit.sandbox.data.catalogue import Catalogue, Kind, Table
from dapkit.sandbox.data.population import SEATS, STAFF, STUDENTS, Population
from dapkit.sandbox.data.timeline import DAY, DECADE, ORIGIN, Event, Timeline, born_sql, count_sql

USERS = "canvas.users"
COURSES = "canvas.courses"
ENROLLMENTS = "canvas.enrollments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A table up the chain of owners: SQL for the number of its row.

    `each` is how many consecutive rows come to every row of it, or 0 when not all of its rows have some.
    """

    table: str
    row: str
    each: int


class Relations:
    """The tables of a college of one scale and seed: their timelines, owners and references."""

    def __init__(
        self, catalogue: Catalogue, population: Callable[[str], Population], *, scale: float, seed: int
    ) -> None:
        self._catalogue = catalogue
        self._population = population
        self._scale = scale
        self._seed = seed
        self._referenced = {name for table in catalogue for column in table.columns for name in column.references}
        self._timelines: dict[str, Timeline] = {}
        for table in catalogue:
            self._timelines[table.qualified] = self._timeline(table)

    def timeline(self, qualified: str) -> Timeline:
        """Return when the rows of a table are born and change."""
        return self._timelines[qualified]

    def soft_deletes(self, table: Table) -> bool:
        """Whether a deleted row of the table stays, marked as deleted."""
        return table.qualified in self._referenced or any(
            column.name == "deleted_at" or (column.name == "workflow_state" and "deleted" in column.values)
            for column in table.value
        )

    def salt(self, qualified: str) -> int:
        """Return the number that sets a table's hashes apart from those of other tables and seeds."""
        return zlib.crc32(f"{self._seed}/{qualified}".encode()) << 20

    def seed_sql(self, qualified: str, row: str) -> str:
        """Return SQL for the hash that all of a row's values follow from: a BIGINT, not negative."""
        return f"(hash(xor({row}, {self.salt(qualified)}::BIGINT)) >> 2)::BIGINT"

    def ancestors(self, qualified: str) -> tuple[Ancestor, ...]:
        """Return the chain of owners of a table's rows, the table itself first."""
        chain = [Ancestor(table=qualified, row="i", each=1)]
        while (owner := self._owner(chain[-1].table)) is not None:
            each = self._population(chain[-1].table).each
            row = f"({chain[-1].row} * {each.denominator} // {each.numerator})"
            if each.denominator == 1:
                row = chain[-1].row if each.numerator == 1 else f"({chain[-1].row} // {each.numerator})"
            whole = each.numerator if each.denominator == 1 else 0
            chain.append(Ancestor(table=owner, row=row, each=chain[-1].each * whole))
        return tuple(chain)

    def key_sql(self, qualified: str, row: str) -> str:
        """Return SQL for the first key column of a table's row. A table may be anything with an integer key."""
        target = self._catalogue.find(qualified)
        assert target is not None
        if target.key[0].references:
            return self.key_sql(target.key[0].references[0], row)
        if target.key[0].kind is Kind.INT16:
            return f"({row} + 1)"
        return f"({row} + {1 + 1000 * (zlib.crc32(qualified.encode()) % 1000)})"

    def ancestor_row(self, source: str, target: str) -> str | None:
        """Return SQL for the number of the row's ancestor in a table, or None when it has none there."""
        rows = (ancestor.row for ancestor in self.ancestors(source) if ancestor.table == target)
        return next(rows, None)

    def reference_sql(self, source: str, target: str, row_hash: str, *, main: bool = True) -> str:
        """Return SQL for the key of the row of `target` that a row of `source` refers to; never null.

        `row_hash` is SQL for a hash of row and column; `main` says whether a reference to people names the one
        whom the row is about, not staff. A row's reference to its own table is to an older row, or to itself when
        there is none. Raises KeyError for a table that is not in the catalogue.
        """
        if source == target:
            return self.key_sql(target, f"greatest(i - 1 - {row_hash} % greatest(least(i, 50), 1), 0)")
        chain = self.ancestors(source)
        direct = next((ancestor.row for ancestor in chain if ancestor.table == target), None)
        if direct is not None:
            return self.key_sql(target, direct)
        if target == USERS and any(ancestor.table == COURSES for ancestor in chain):
            return self.key_sql(USERS, self._participant(source, row_hash, main=main))
        return self.key_sql(target, self._relative(chain, target, row_hash) or self._elder(target, row_hash))

    def _participant(self, source: str, row_hash: str, *, main: bool) -> str:
        """Return SQL for a person in the row's course: the same people for all that the course holds.

        Rows of one owner have different people as far as the students suffice, so that (owner, person) is unique.
        """
        chain = self.ancestors(source)
        course = next(ancestor.row for ancestor in chain if ancestor.table == COURSES)
        if not main:
            seat = f"({row_hash} % {STAFF})"
        elif any(ancestor.table == ENROLLMENTS for ancestor in chain):
            enrollment = next(ancestor.row for ancestor in chain if ancestor.table == ENROLLMENTS)
            seat = f"({enrollment} % {SEATS})"
        else:
            owned = next((a for a in chain[:-1] if 1 < self._population(a.table).each <= STUDENTS), chain[0])
            each = max(1, int(self._population(owned.table).each))
            seat = f"({STAFF} + ({owned.row} % {each} + 7 * ({owned.row} // {each})) % {STUDENTS})"
        people = self.timeline(USERS)
        born = count_sql(people, born_sql(self.timeline(COURSES), course))
        start = self.seed_sql("class", course)
        return f"({born} - 1 - ({start} + {seat}) % least({born}, {self._window(USERS)}))"

    def _relative(self, chain: tuple[Ancestor, ...], target: str, row_hash: str) -> str | None:
        """Return SQL for a row of `target` under the nearest ancestor that both have, or None."""
        others = {ancestor.table: ancestor.each for ancestor in self.ancestors(target)}
        for ancestor in chain:
            each = others.get(ancestor.table, 0)
            if each:
                first = f"{ancestor.row} * {each}"
                born = f"({count_sql(self.timeline(target), 'age')} - {first})"
                return f"({first} + {row_hash} % least({born}, {each}))"
        return None

    def _elder(self, target: str, row_hash: str) -> str:
        born = count_sql(self.timeline(target), "age")
        return f"({born} - 1 - {row_hash} % least({born}, {self._window(target)}))"

    def _window(self, target: str) -> int:
        """Return how many of a table's youngest rows are still pointed to: about two years' worth."""
        return max(40, self.timeline(target).count(ORIGIN + DECADE) // 5)

    def _owner(self, qualified: str) -> str | None:
        owner = self._population(qualified).owner
        return owner if owner is not None and self._catalogue.find(owner) is not None else None

    def _timeline(self, table: Table) -> Timeline:
        population = self._population(table.qualified)
        owner = self._owner(table.qualified)
        if owner is not None:
            owners = self._catalogue.find(owner)
            assert owners is not None
            timeline = self._timeline(owners).owned(population.each)
        else:
            rows = population.rows * (self._scale if population.scaled else 1)
            timeline = Timeline.per_decade(rows, founding=population.founding)
        events = population.events
        if population.deleted:
            events += (Event(lag=60 * DAY, share=population.deleted, final=True),)
        return replace(timeline, events=events, kept=population.kept, limit=population.limit)
