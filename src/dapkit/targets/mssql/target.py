"""SQL Server and Azure SQL as a target (experimental): `mssql://user:password@host:port/database`."""

from functools import partial

from dapkit.targets.mssql.driver import CAPABILITIES, connect
from dapkit.targets.mssql.url import address_of
from dapkit.targets.sql.target import ServerTarget

_WARNING = (
    "Support for SQL Server is experimental: it has never been run against a real server. Try it on a copy of your"
    " database first, check the result with dap reconcile, and report how it went."
)


def target_of(url: str) -> ServerTarget:
    """Return the target that a connection string names, as the official client writes it."""
    address = address_of(url)
    return ServerTarget(
        name=address.name, capabilities=CAPABILITIES, connect=partial(connect, address), warning=_WARNING
    )
