"""Which row another row refers to, by arithmetic: nothing is looked up, and the target is never younger than the row.

A table may belong to a parent table, so that its row i belongs to the parent's row i // per_parent. The chain of
parents ends at a table that grows on its own. A reference is resolved by the first of these rules that fits:

1. The target is in the row's own chain: that ancestor.
2. The target is people, and the chain contains a course: a member of the course.
3. The target table shares an ancestor with the row: one of that ancestor's rows that is already born.
4. Otherwise: one of the latest rows of the target table that are already born.

The SQL uses these columns of the row: `i` (its number) and `age` (of the data at its birth, in milliseconds).
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
    """A table in a row's chain of parents; `row` is SQL for the number of the ancestor.

    `descendants` is how many consecutive rows each of its rows has, or 0 if some of its rows have none.
    """

    table: str
    row: str
    descendants: int


class Relations:
    """The tables of a dataset of one scale and seed: their timelines, parents and references."""

    def __init__(
        self, catalogue: Catalogue, population: Callable[[str], Population], *, scale: float, seed: int
    ) -> None:
        self._catalogue = catalogue
        self._population = population
        self._scale = scale
        self._seed = seed
        self._referenced = {name for table in catalogue for column in table.columns for name in column.references}
        self._timelines = {table.qualified: self._build_timeline(table.qualified) for table in catalogue}

    def timeline(self, qualified: str) -> Timeline:
        """Return when the rows of a table are born and change."""
        return self._timelines[qualified]

    def soft_deletes(self, table: Table) -> bool:
        """Return whether deleted rows of the table stay and are marked as deleted."""
        # Rows that others refer to must stay: the reference would dangle.
        return table.qualified in self._referenced or any(
            column.name == "deleted_at" or (column.name == "workflow_state" and "deleted" in column.values)
            for column in table.value
        )

    def salt(self, qualified: str) -> int:
        """Return the number that makes a table's hashes differ from those of other tables and seeds."""
        # Shifted beyond the first million row numbers, so that `row xor salt` rarely coincides for two tables.
        return zlib.crc32(f"{self._seed}/{qualified}".encode()) << 20

    def seed_sql(self, qualified: str, row: str) -> str:
        """Return SQL for the hash from which all values of a row follow: a BIGINT that is not negative."""
        # One argument, combined by xor, instead of hash(row, salt): the hash of several arguments is the xor of their
        # hashes, so two tables would differ by a constant only. The cast fixes the type, because DuckDB hashes equal
        # negative numbers of different types differently. Two bits are dropped: the result is not negative, and small
        # additions cannot overflow.
        return f"(hash(xor({row}, {self.salt(qualified)}::BIGINT)) >> 2)::BIGINT"

    def ancestors(self, qualified: str) -> tuple[Ancestor, ...]:
        """Return the chain of parents of a table's rows, starting with the table itself."""
        chain = [Ancestor(table=qualified, row="i", descendants=1)]
        while (parent := self._parent(chain[-1].table)) is not None:
            last = chain[-1]
            ratio = self._population(last.table).per_parent
            if ratio.denominator > 1:
                row = f"({last.row} * {ratio.denominator} // {ratio.numerator})"
            else:
                row = last.row if ratio.numerator == 1 else f"({last.row} // {ratio.numerator})"
            per_row = ratio.numerator if ratio.denominator == 1 else 0
            chain.append(Ancestor(table=parent, row=row, descendants=last.descendants * per_row))
        return tuple(chain)

    def ancestor_row(self, source: str, target: str) -> str | None:
        """Return SQL for the number of the row's ancestor in a table, or None if it has none there."""
        rows = (ancestor.row for ancestor in self.ancestors(source) if ancestor.table == target)
        return next(rows, None)

    def key_sql(self, qualified: str, row: str) -> str:
        """Return SQL for the first key column of a row. The table must have an integer key."""
        target = self._catalogue.find(qualified)
        assert target is not None
        if target.key[0].references:
            return self.key_sql(target.key[0].references[0], row)
        if target.key[0].kind is Kind.INT16:
            return f"({row} + 1)"
        # An offset for each table, so that a reference that leads to the wrong table is noticed.
        return f"({row} + {1 + 1000 * (zlib.crc32(qualified.encode()) % 1000)})"

    def reference_sql(self, source: str, target: str, row_hash: str, *, main: bool = True) -> str:
        """Return SQL for the key of the row of `target` that a row of `source` refers to; never null.

        `row_hash` is SQL for a hash of row and column. `main` says whether a reference to people is to the person
        whom the row is about, rather than to staff. A reference to the row's own table leads to an older row, or to
        the row itself if there is none. Raises KeyError if the target is not in the catalogue.
        """
        if source == target:
            return self.key_sql(target, f"greatest(i - 1 - {row_hash} % greatest(least(i, 50), 1), 0)")
        direct = self.ancestor_row(source, target)
        if direct is not None:
            return self.key_sql(target, direct)
        if target == USERS and self.ancestor_row(source, COURSES) is not None:
            return self.key_sql(USERS, self.user_row(source) if main else self._member(source, f"{row_hash} % {STAFF}"))
        return self.key_sql(target, self._cousin(source, target, row_hash) or self._recent_row(target, row_hash))

    def user_row(self, source: str) -> str:
        """Return SQL for the number of the user whom a row of a user or of a course is about.

        Rows of one parent are about different users, as long as there are enough students, so that the pair of parent
        and user is unique.
        """
        user = self.ancestor_row(source, USERS)
        if user is not None:
            return user
        enrollment = self.ancestor_row(source, ENROLLMENTS)
        if enrollment is not None:
            return self._member(source, f"{enrollment} % {SEATS}")
        # The nearest table with several rows per parent, but not more than there are students, assigns the seats: its
        # rows of one parent get consecutive seats. Each parent starts 7 seats further. 7 and the number of students
        # have no common divisor, so that the first seats are not always taken by the same students.
        chain = self.ancestors(source)
        counted = next((a for a in chain[:-1] if 1 < self._population(a.table).per_parent <= STUDENTS), chain[0])
        each = max(1, int(self._population(counted.table).per_parent))
        return self._member(source, f"{STAFF} + ({counted.row} % {each} + 7 * ({counted.row} // {each})) % {STUDENTS}")

    def _member(self, source: str, seat: str) -> str:
        """Return SQL for who has a seat in the row's course. Every table sees the same members of a course."""
        course = self.ancestor_row(source, COURSES)
        assert course is not None
        # Only people born before the course can be members: count back from the youngest person at that time. The
        # start is a hash of the course; consecutive seats are then different people.
        born = count_sql(self.timeline(USERS), born_sql(self.timeline(COURSES), course))
        start = self.seed_sql("class", course)
        return f"({born} - 1 - ({start} + {seat}) % least({born}, {self._window(USERS)}))"

    def _cousin(self, source: str, target: str, row_hash: str) -> str | None:
        """Return SQL for a row of `target` under the nearest common ancestor, or None without one."""
        others = {ancestor.table: ancestor.descendants for ancestor in self.ancestors(target)}
        for ancestor in self.ancestors(source):
            descendants = others.get(ancestor.table, 0)
            if descendants:
                first = f"{ancestor.row} * {descendants}"
                # Only those that are born by now. At least the first is: it is born together with the ancestor.
                born = f"({count_sql(self.timeline(target), 'age')} - {first})"
                return f"({first} + {row_hash} % least({born}, {descendants}))"
        return None

    def _recent_row(self, target: str, row_hash: str) -> str:
        born = count_sql(self.timeline(target), "age")
        return f"({born} - 1 - {row_hash} % least({born}, {self._window(target)}))"

    def _window(self, target: str) -> int:
        """Return how many of a table's latest rows are still referred to: about two years' worth."""
        return max(40, self.timeline(target).count(ORIGIN + DECADE) // 5)

    def _parent(self, qualified: str) -> str | None:
        parent = self._population(qualified).parent
        return parent if parent is not None and self._catalogue.find(parent) is not None else None

    def _build_timeline(self, qualified: str) -> Timeline:
        population = self._population(qualified)
        parent = self._parent(qualified)
        if parent is not None:
            timeline = self._build_timeline(parent).children(population.per_parent)
        else:
            rows = population.rows * (self._scale if population.scaled else 1)
            timeline = Timeline.per_decade(rows, initial=population.initial)
        events = population.events
        if population.deleted:
            events += (Event(lag=60 * DAY, share=population.deleted, final=True),)
        return replace(timeline, events=events, retention=population.retention, limit=population.limit)
