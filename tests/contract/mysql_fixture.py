"""How the suite looks into MySQL and MariaDB."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property

from tests.contract.database_fixture import Capabilities, Fate, Place

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.target import MySqlTarget

__all__ = ["MySqlPlace"]

KEPT, REPAIRED = Fate.KEPT, Fate.REPAIRED
SECOND = timedelta(seconds=1)
CAPABILITIES = Capabilities(
    nul=KEPT, json_nul=KEPT, infinity=REPAIRED, nan=REPAIRED, unknown_enum=REPAIRED, moment=SECOND, watermark=SECOND
)


class MySqlPlace(Place):
    """A database that keeps open enums as numbers, and addresses as bytes."""

    def __init__(self, url: str) -> None:
        super().__init__(MySqlTarget.of(url), CAPABILITIES)

    @cached_property
    def dialect(self) -> MySqlDialect:  # asked for once, since it needs a connection
        """The SQL of the server, which differs in the names of collations."""
        dialect = super().dialect
        assert isinstance(dialect, MySqlDialect)
        return dialect

    def select(self, table: Table, columns: Sequence[Column]) -> str:
        """Select the texts of lookup tables."""
        values = []
        for column in columns:
            value = f"rows_.{self.dialect.identifier(column.name)}"
            match column.type.kind:
                case TypeKind.OPEN_ENUM:
                    value = (
                        f"(SELECT value FROM {self.dialect.lookup(table, column)} AS known WHERE known.id = {value})"
                    )
            values.append(value)
        return f"SELECT {', '.join(values)} FROM {self.dialect.of(table)} AS rows_"

    def index(self, name: str, table: Table) -> str:
        """Return what drops an index of a table after the words DROP INDEX."""
        return f"{name} ON {self.dialect.of(table)}"

    def value(self, type_: ColumnType, raw: object) -> object:
        """Take sixteen bytes that end in twelve zeros for an IPv4 address; the suite knows no other of the kind."""
        if type_.kind is TypeKind.IP and isinstance(raw, bytes) and raw[4:] == bytes(12):
            raw = raw[:4]
        return super().value(type_, raw)
