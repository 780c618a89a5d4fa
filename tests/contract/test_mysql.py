"""MySQL and MariaDB keep the contract, on a MariaDB of our own, or on the server that DAPKIT_TEST_MYSQL names."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.contract.place import Capabilities, Fate, Place
from tests.contract.scene import Scene
from tests.contract.suite import TargetContract

from dapkit.model import Column, Kind, Table, Type
from dapkit.targets.mysql.dialect import MySqlDialect
from dapkit.targets.mysql.target import MySqlTarget

KEPT, REPAIRED = Fate.KEPT, Fate.REPAIRED
SECOND = timedelta(seconds=1)
ROADS = ["initialise", "change", "replace", "alter"]
"""Alterations commit by themselves, but need not show in the rows; tests/targets/mysql has what does."""

CAPABILITIES = Capabilities(
    nul=KEPT, json_nul=KEPT, infinity=REPAIRED, nan=REPAIRED, unknown_enum=REPAIRED, moment=SECOND, watermark=SECOND
)


class MySqlPlace(Place):
    def select(self, table: Table, columns: Sequence[Column]) -> str:
        dialect = self.dialect
        assert isinstance(dialect, MySqlDialect)
        values = []
        for column in columns:
            value = f"rows_.{dialect.identifier(column.name)}"
            match column.type.kind:
                case Kind.OPEN_ENUM:
                    value = f"(SELECT value FROM {dialect.lookup(table, column)} AS known WHERE known.id = {value})"
                case Kind.FLOAT32:
                    value = f"CAST({value} AS DOUBLE)"  # a float is shown with six digits, though it has more
            values.append(value)
        return f"SELECT {', '.join(values)} FROM {dialect.of(table)} AS rows_"

    def index(self, name: str, table: Table) -> str:
        return f"{name} ON {self.dialect.of(table)}"

    def value(self, type_: Type, raw: object) -> object:
        if type_.kind is Kind.IP and isinstance(raw, bytes) and raw[4:] == bytes(12):
            raw = raw[:4]  # the suite knows no address of sixteen zeros
        return super().value(type_, raw)


@pytest.mark.server
class TestMySql(TargetContract):
    @pytest.fixture
    def place(self, mysql_url: str) -> Place:
        return MySqlPlace(MySqlTarget.of(mysql_url), CAPABILITIES)

    @pytest.mark.parametrize("versions", [(2,)])  # its key keeps one from being there twice
    def test_books_of_two_versions_are_refused_untouched(self, scene: Scene, versions: tuple[int, ...]) -> None:
        super().test_books_of_two_versions_are_refused_untouched(scene, versions)

    @pytest.mark.parametrize("road", ROADS)
    def test_a_break_at_any_step_leaves_the_table_as_it_was(self, scene: Scene, road: str) -> None:
        super().test_a_break_at_any_step_leaves_the_table_as_it_was(scene, road)
