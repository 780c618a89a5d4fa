"""Contract: manual changes to tables are noticed, then reported or repaired, and never cause a loss of data."""

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
    def test_a_dropped_table_is_reported_and_loaded_again(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(ENUMS, [ROW])
        fixture.database.execute(f"DROP TABLE {fixture.full_name(ENUMS)}")
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.DROPPED
        fixture.initial_load(ENUMS, [ROW | {"id": 2}])
        fixture.reopen()
        fixture.assert_holds(ENUMS, [ROW | {"id": 2}])
        assert fixture.database.query(f"SELECT count(*) FROM {fixture.state_table('table_sync')}") == [(1,)]

    def test_a_dropped_table_does_not_hide_other_tables_from_the_list(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.initial_load(ENUMS_TOO, [OTHER])
        fixture.database.execute(f"DROP TABLE {fixture.full_name(TABLE)}")
        fixture.reopen()
        listed = {each.state.table: each for each in fixture.session.list_tables("canvas", count=True)}
        assert (listed["things"].table_dropped, listed["things"].rows) == (True, None)
        assert (listed["others"].table_dropped, listed["others"].rows) == (False, 1)

    @pytest.mark.parametrize("action", ["apply_increment", "full_refresh"])
    def test_a_column_dropped_by_a_user_fails_the_load_until_a_full_refresh(
        self, fixture: SqlTableFixture, action: str
    ) -> None:
        fixture.initial_load(TABLE, [A, B])
        fixture.database.execute(f"ALTER TABLE {fixture.full_name(TABLE)} DROP COLUMN name")
        fixture.reopen()
        load = fixture.apply_increment if action == "apply_increment" else fixture.full_refresh
        with pytest.raises(SchemaChangeNotSupportedError, match="name"):
            load(TABLE, [A, B, C], LoadOptions(keep_missing=True))
        fixture.reopen()
        fixture.full_refresh(TABLE, [A, B, C])
        fixture.assert_holds(TABLE, [A, B, C])

    def test_a_column_dropped_by_a_user_and_by_the_schema_is_ignored(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(f"ALTER TABLE {fixture.full_name(TABLE)} DROP COLUMN size")
        fixture.reopen()
        fixture.apply_increment(NARROWER, [{"id": 2, "name": "b"}])
        fixture.assert_holds(NARROWER, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])

    @pytest.mark.parametrize("managed", [True, False])
    def test_a_view_with_the_name_of_a_table_is_neither_dropped_nor_loaded(
        self, fixture: SqlTableFixture, managed: bool
    ) -> None:
        fixture.initial_load(ENUMS_TOO, [OTHER])
        if managed:
            fixture.initial_load(TABLE, [A])
            fixture.database.execute(f"DROP TABLE {fixture.full_name(TABLE)}")
        fixture.database.execute(
            f"CREATE VIEW {fixture.full_name(TABLE)} AS SELECT * FROM {fixture.full_name(ENUMS_TOO)}"
        )
        fixture.reopen()
        assert fixture.session.status("canvas", "things") is TableStatus.NOT_A_TABLE
        with pytest.raises(IncompatibleLayoutError) as caught:
            drop_tables(_OpenTarget(fixture), "canvas", ["others", "things"], include_unmanaged=True)  # type: ignore[arg-type]
        assert "nothing was changed" in caught.value.hint
        fixture.reopen()
        with pytest.raises(TargetError):
            fixture.initial_load(TABLE, [A])
        fixture.reopen()
        assert fixture.database.query(f"SELECT id FROM {fixture.full_name(TABLE)}") == [(1,)]

    def test_an_unknown_state_version_prevents_dropping_tables(self, fixture: SqlTableFixture) -> None:
        fixture.initial_load(TABLE, [A])
        fixture.database.execute(*insert_version(fixture.dialect, 2))
        fixture.reopen()
        with pytest.raises(IncompatibleLayoutError, match="1, 2"):
            drop_tables(_OpenTarget(fixture), "canvas", ["things"])  # type: ignore[arg-type]
        fixture.reopen()
        fixture.assert_holds(TABLE, [A])


class _OpenTarget:
    """A target whose `open` returns the session of a fixture."""

    def __init__(self, fixture: TableFixture) -> None:
        self.name = "here"
        self.empty_substitute = None
        self.open = lambda: fixture.session
