"""PostgreSQL as a target: `postgresql://user:password@host:port/database`."""

from typing import Self

from dapkit.errors import MissingDriverError
from dapkit.targets.base import TargetSession
from dapkit.targets.postgres.address import Address, address_of

__all__ = ["PostgresTarget"]


class PostgresTarget:
    """A PostgreSQL database."""

    most_sessions = 4

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.name

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that a connection string names, as the official client and libpq write it."""
        return cls(address_of(url))

    def open(self) -> TargetSession:
        """Connect."""
        try:
            from dapkit.targets.postgres.session import connect  # noqa: PLC0415, only where it is used
        except ImportError as error:
            if (error.name or "").startswith("dapkit"):
                raise
            hint = "pip install 'dapkit[postgresql]'"
            raise MissingDriverError(f"PostgreSQL needs the library psycopg: {error}", hint=hint) from error
        return connect(self._address.parameters, self.name)
