"""Part of the contract: what people did to tables by hand. It is noticed, said or mended, and never made worse."""

import pytest
from tests.contract.changes import TABLE, A, B, C
from tests.contract.sync_state import ENUM, ENUMS, ROW
from tests.contract.table_fixture import SqlTableFixture, TableFixture
from tests.support.table_schemas import TEXT, table_of

from dapkit.errors import IncompatibleLayoutError, SchemaChangeNotSupportedError, TargetError
from dapkit.replication.managed_tables import drop_tables
from dapkit.targets.base import LoadOptions, TableStatus
from dapkit.targets.sql.sync_state import insert_version

ENUMS_TOO = table_of({"state": ENUM, "open": {"oneOf": [ENUM, TEXT]}}, name="others")
OTHER = {"id": 1, "state": "a", "open": "else"}
NARROWER = table_of({"name": TEXT}, version=2)


class SqlManualChangesContract:
    def test_a_table_that_somebody_dropped_is_lost_and_loaded_anew(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(ENUMS, [ROW])
        fixture.database.execute(f"DROP TABLE {fixture.of(ENUMS)}")
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.DROPPED
        fixture.initial_load(ENUMS, [ROW | {"id": 2}])
        fixture.reopen()
        fixture.holds(ENUMS, [ROW | {"id": 2}])
        assert fixture.database.ask(f"SELECT count(*) FROM {fixture.state_table('table_sync')}") == [(1,)]

    def test_a_lost_table_hides_no_other_from_the_list(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.initial_load(ENUMS_TOO, [OTHER])
        fixture.database.execute(f"DROP TABLE {fixture.of(TABLE)}")
        fixture.reopen()
        listed = {each.state.table: each for each in fixture.session.list_tables("canvas", count=True)}
        assert (listed["things"].lost, listed["things"].rows) == (True, None)
        assert (listed["others"].lost, listed["others"].rows) == (False, 1)

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_column_that_somebody_dropped_is_not_emptied_without_a_word(
        self, fixture: SqlTableFixture, action: str
    ) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.database.execute(f"ALTER TABLE {fixture.of(TABLE)} DROP COLUMN name")
        fixture.reopen()
        bring = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        with pytest.raises(SchemaChangeNotSupportedError, match="name"):
            bring(TABLE, [A, B, C], LoadOptions(keep_missing=True))
        fixture.reopen()
        fixture.full_refresh(TABLE, [A, B, C])
        fixture.holds(TABLE, [A, B, C])

    def test_a_column_that_somebody_dropped_and_the_schema_too(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(f"ALTER TABLE {fixture.of(TABLE)} DROP COLUMN size")
        fixture.reopen()
        fixture.apply_increment(NARROWER, [{"id": 2, "name": "b"}])
        fixture.holds(NARROWER, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])

    @pytest.mark.parametrize("booked", [True, False])
    def test_a_view_in_the_place_of_a_table_is_neither_dropped_nor_loaded_into(
        self, fixture: SqlTableFixture, booked: bool
    ) -> None:
        fixture.initial_load(ENUMS_TOO, [OTHER])
        if booked:
            fixture.initial_load(TABLE, [A])
            fixture.database.execute(f"DROP TABLE {fixture.of(TABLE)}")
        fixture.database.execute(f"CREATE VIEW {fixture.of(TABLE)} AS SELECT * FROM {fixture.of(ENUMS_TOO)}")
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.NOT_A_TABLE
        with pytest.raises(IncompatibleLayoutError) as caught:
            drop_tables(_Opened(fixture), "canvas", ["others", "things"], include_unmanaged=True)  # type: ignore[arg-type]
        assert "nothing was changed" in caught.value.hint
        fixture.reopen()
        with pytest.raises(TargetError):
            fixture.initial_load(TABLE, [A])
        fixture.reopen()
        assert fixture.database.ask(f"SELECT id FROM {fixture.of(TABLE)}") == [(1,)]

    def test_nothing_is_dropped_by_books_of_a_version_that_is_not_known(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(*insert_version(fixture.dialect, 2))
        fixture.reopen()
        with pytest.raises(IncompatibleLayoutError, match="1, 2"):
            drop_tables(_Opened(fixture), "canvas", ["things"])  # type: ignore[arg-type]
        fixture.reopen()
        fixture.holds(TABLE, [A])


class _Opened:
    """A target whose session is open."""

    def __init__(self, fixture: TableFixture) -> None:
        self.name = "here"
        self.empty_substitute = None
        self.open = lambda: fixture.session
