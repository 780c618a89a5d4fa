"""How the suite reads MySQL and MariaDB."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.contract.database_fixture import DatabaseFixture, Outcome, ValueSupport

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.target import target_of
from dapkit.targets.sql.dialect import Dialect, identifier

__all__ = ["MySqlFixture"]

KEPT, REPAIRED = Outcome.KEPT, Outcome.REPAIRED
SECOND = timedelta(seconds=1)
LAST = datetime(9999, 12, 31, 23, 59, 59)
"""The second that cannot be rounded up."""

SUPPORT = ValueSupport(nul=KEPT, json_nul=KEPT, infinity=REPAIRED, nan=REPAIRED, unknown_enum=REPAIRED)


class MySqlFixture(DatabaseFixture):
    """A database that stores open enums as numbers, and addresses as bytes."""

    def __init__(self, url: str) -> None:
        super().__init__(target_of(url), SUPPORT)
        self._rounds = self.dialect.facts.product == "MySQL"

    def execute(self, *statements: str) -> None:
        """Execute statements over a separate connection; a user's table may have no primary key."""
        free = ["SET SESSION sql_require_primary_key = OFF"] if self._rounds else []
        super().execute(*free, *statements)

    def select(self, dialect: Dialect, table: Table, columns: Sequence[Column]) -> str:
        """Select the texts of lookup tables."""
        assert isinstance(dialect, MySqlDialect)
        values = []
        for column in columns:
            value = f"rows_.{identifier(column.name)}"
            if column.type.kind is TypeKind.OPEN_ENUM:
                value = (
                    f"(SELECT value FROM {dialect.facts.lookup_table(table, column)} AS known WHERE known.id = {value})"
                )
            values.append(value)
        return f"SELECT {', '.join(values)} FROM {dialect.facts.full_name(table)} AS rows_"

    def existing_objects(self) -> list[tuple[object, ...]]:
        """Return the names of all tables of this database; others on the same server come and go."""
        return sorted(self.query("SELECT table_name FROM information_schema.tables WHERE table_schema = database()"))

    def index(self, name: str, table: Table) -> str:
        """Return what follows DROP INDEX in the statement that drops an index."""
        return f"{name} ON {self.dialect.facts.full_name(table)}"

    def value(self, type_: ColumnType, raw: object) -> object:
        """Return a value as the server keeps it: MySQL rounds fractions of seconds, MariaDB cuts them off.

        Sixteen bytes that end in twelve zeros are an IPv4 address; the suite has no IPv6 address like that.
        """
        if type_.kind is TypeKind.IP and isinstance(raw, bytes) and raw[4:] == bytes(12):
            raw = raw[:4]
        value = super().value(type_, raw)
        if isinstance(value, datetime):
            up = self._rounds and value < LAST
            return (value + SECOND / 2 if up else value).replace(microsecond=0)
        return value
