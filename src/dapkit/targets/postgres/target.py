"""PostgreSQL as a target: `postgresql://user:password@host:port/database`."""

from functools import partial

from dapkit.targets.postgres.driver import CAPABILITIES, connect
from dapkit.targets.postgres.url import address_of
from dapkit.targets.sql.target import ServerTarget


def target_of(url: str) -> ServerTarget:
    """Return the target that a connection string names, as the official client and libpq write it."""
    address = address_of(url)
    return ServerTarget(
        name=address.name, capabilities=CAPABILITIES, connect=partial(connect, address.parameters, address.name)
    )
