"""PostgreSQL as a target: `postgresql://user:password@host:port/database`."""

from typing import Self

from dapkit.targets.postgres.address import Address, address_of
from dapkit.targets.postgres.session import PostgresSession, connect

__all__ = ["PostgresTarget"]


class PostgresTarget:
    """A PostgreSQL database."""

    max_connections = 4
    empty_substitute = None
    notice = None

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.name

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that a connection string names, as the official client and libpq write it."""
        return cls(address_of(url))

    def open(self) -> PostgresSession:
        """Connect."""
        return connect(self._address.parameters, self.name)
