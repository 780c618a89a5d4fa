"""SQL Server and Azure SQL as a target (experimental): `mssql://user:password@host:port/database`."""

from functools import partial

from dapkit.targets.mssql.connection import connect
from dapkit.targets.mssql.driver import CAPABILITIES, MsSqlDriver
from dapkit.targets.mssql.url import MsSqlAddress, address_of
from dapkit.targets.sql.target import ServerTarget

__all__ = ["target_of"]

_WARNING = (
    "SQL Server is experimental: dapkit has never been run against a real server. Try it on a copy of your database"
    " first, and let dap reconcile compare the result."
)


def target_of(url: str) -> ServerTarget:
    """Return the target that a connection string names."""
    address = address_of(url)
    return ServerTarget(
        name=address.name, capabilities=CAPABILITIES, connect=partial(_connect, address), warning=_WARNING
    )


def _connect(address: MsSqlAddress) -> MsSqlDriver:
    connection = connect(address)
    try:
        return MsSqlDriver(connection)
    except BaseException:
        connection.close()
        raise
