"""MySQL and MariaDB as a target: `mysql://user:password@host:port/database`, or `mariadb://…`, which means the same."""

import ssl
from functools import partial

import pymysql

from dapkit.targets.mysql.connection import LocalInfileConnection
from dapkit.targets.mysql.driver import CAPABILITIES, MySqlDriver
from dapkit.targets.mysql.errors import OTHER_SERVER, code_of, is_answer, unconnected
from dapkit.targets.mysql.url import MySqlAddress, address_of
from dapkit.targets.sql.connection_string import Ssl
from dapkit.targets.sql.keepalive import CONNECTING
from dapkit.targets.sql.target import ServerTarget

_ATTEMPTS = {Ssl.DISABLE: (False,), Ssl.ALLOW: (False, True), Ssl.PREFER: (True, False)}
"""Whether a connection is encrypted, in the order of attempts; for all other words it is."""


def target_of(url: str) -> ServerTarget:
    """Return the target that a connection string names."""
    address = address_of(url)
    return ServerTarget(name=address.name, capabilities=CAPABILITIES, connect=partial(_connect, address))


def _connect(address: MySqlAddress) -> MySqlDriver:
    """Connect with as much protection as the address allows and the server offers."""
    for protected in _ATTEMPTS.get(address.ssl, (True,)):
        try:
            connection = _open(address, protected=protected)
        except (pymysql.Error, RuntimeError, OSError) as error:  # RuntimeError: authentication needs a library
            failure = error
            if _is_final(error, protected=protected):
                break
        else:
            return _driver(connection)
    raise unconnected(failure, address.name, address.password) from None


def _is_final(error: Exception, *, protected: bool) -> bool:
    """Whether another kind of encryption makes no difference: what the server says over TLS it would say without."""
    code = code_of(error) if isinstance(error, pymysql.Error) else 0
    return code == OTHER_SERVER or (protected and is_answer(code))


def _open(address: MySqlAddress, *, protected: bool) -> LocalInfileConnection:
    return LocalInfileConnection(
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


def _driver(connection: LocalInfileConnection) -> MySqlDriver:
    try:
        return MySqlDriver(connection)
    except BaseException:
        connection.close()
        raise


def _context(address: MySqlAddress) -> ssl.SSLContext:
    """Return how the connection is encrypted, and whether the server has to prove its identity."""
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
