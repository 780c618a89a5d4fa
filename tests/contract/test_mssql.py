"""The contract on SQL Server (experimental), on the server that DAPKIT_TEST_MSSQL names. It has never been run."""

import pytest
from tests.contract.database_fixture import DatabaseFixture
from tests.contract.mssql_fixture import MsSqlFixture, in_tsql
from tests.contract.suite import SqlTargetContract
from tests.contract.table_fixture import SqlTableFixture

VERSION = '"instructure_dap"."database_version"'


@pytest.mark.server
class TestMsSql(SqlTargetContract):
    @pytest.fixture
    def database(self, mssql_url: str) -> DatabaseFixture:
        return MsSqlFixture(mssql_url)

    @pytest.mark.parametrize("versions", [(2,)], ids=["other"])  # its key rejects the same version twice
    def test_sync_state_with_two_versions_is_rejected_unchanged(
        self, fixture: SqlTableFixture, versions: tuple[int, ...]
    ) -> None:
        super().test_sync_state_with_two_versions_is_rejected_unchanged(fixture, versions)


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ('ALTER TABLE "c"."t" ADD COLUMN mine INTEGER', ['ALTER TABLE "c"."t" ADD mine INTEGER']),
        ('CREATE VIEW "c"."v" AS SELECT 1', ['CREATE VIEW "c"."v" AS SELECT 1']),
        (
            f"UPDATE {VERSION} SET version = 2",
            [
                f"DELETE FROM {VERSION}",
                f"SET IDENTITY_INSERT {VERSION} ON",
                f"INSERT INTO {VERSION} (version) VALUES (2)",
                f"SET IDENTITY_INSERT {VERSION} OFF",
            ],
        ),
    ],
)
def test_statements_of_the_suite_in_tsql(statement: str, wanted: list[str]) -> None:
    assert in_tsql(statement) == wanted
