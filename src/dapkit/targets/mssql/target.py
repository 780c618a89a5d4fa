"""SQL Server and Azure SQL as a target: `mssql://user:password@host:port/database`."""

from typing import Self

from dapkit.targets.mssql.address import Address, address_of
from dapkit.targets.mssql.connection import connect
from dapkit.targets.mssql.session import MsSqlSession

__all__ = ["MsSqlTarget"]


class MsSqlTarget:
    """A database of SQL Server."""

    max_connections = 4
    empty_substitute = None
    notice = (
        "SQL Server is supported, but was never run by us against a real server: try it on a copy of your database"
        " first, let dap reconcile compare, and tell us how it went."
    )

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.name

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that a connection string names."""
        return cls(address_of(url))

    def open(self) -> MsSqlSession:
        """Connect."""
        wire = connect(self._address)
        try:
            return MsSqlSession(wire)
        except BaseException:
            wire.close()
            raise
