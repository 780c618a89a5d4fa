"""MySQL and MariaDB as a target: `mysql://user:password@host:port/database`, or `mariadb://…`, which means the same."""

import ssl
from typing import Self

import pymysql

from dapkit.targets.mysql.address import Address, address_of
from dapkit.targets.mysql.connection import Wire
from dapkit.targets.mysql.errors import unconnected
from dapkit.targets.mysql.session import MySqlSession
from dapkit.targets.sql.connection_string import Ssl
from dapkit.targets.sql.keepalive import CONNECTING

__all__ = ["MySqlTarget"]

_ATTEMPTS = {Ssl.DISABLE: (False,), Ssl.ALLOW: (False, True), Ssl.PREFER: (True, False)}
"""Whether a connection is protected, in the order in which that is tried; all others are."""


class MySqlTarget:
    """A database of MySQL or MariaDB."""

    max_connections = 8
    empty_substitute = None
    notice = None

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.name

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the target that a connection string names."""
        return cls(address_of(url))

    def open(self) -> MySqlSession:
        """Connect."""
        attempts = _ATTEMPTS.get(self._address.ssl, (True,))
        for protected in attempts:
            try:
                wire = self._connect(protected=protected)
            except (pymysql.Error, RuntimeError, OSError) as error:  # RuntimeError: a way to log in needs a library
                failure = error
            else:
                return _session(wire)
        raise unconnected(failure, self.name, self._address.password) from None

    def _connect(self, *, protected: bool) -> Wire:
        address = self._address
        return Wire(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database,
            unix_socket=address.unix_socket,
            charset="utf8mb4",
            autocommit=True,
            local_infile=True,
            connect_timeout=CONNECTING,
            ssl=_context(address) if protected else None,
            ssl_disabled=not protected,
        )


def _session(wire: Wire) -> MySqlSession:
    """Return a session over a connection, which is given up if none can be set up."""
    try:
        return MySqlSession(wire)
    except BaseException:
        wire.close()
        raise


def _context(address: Address) -> ssl.SSLContext:
    """Return how the connection is protected, and whether the server has to prove who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = address.ssl is Ssl.VERIFY_FULL
    if address.ssl not in (Ssl.VERIFY_CA, Ssl.VERIFY_FULL):
        context.verify_mode = ssl.CERT_NONE
    elif "ssl_ca" in address.files:
        context.load_verify_locations(address.files["ssl_ca"])
    else:
        context.load_default_certs()
    if "ssl_cert" in address.files:
        context.load_cert_chain(address.files["ssl_cert"], address.files.get("ssl_key"))
    return context
