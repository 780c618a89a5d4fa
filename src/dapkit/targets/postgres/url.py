"""PURE: a connection string of a PostgreSQL database, as the official client and libpq write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dapkit.errors import UsageError
from dapkit.protocol.secrets import Secret
from dapkit.targets.sql.connection_string import Ssl, split, ssl_of

_FORM = "Write it like postgresql://user:password@host:5432/database."
_SECRET = frozenset(
    {"password", "sslpassword", "passfile", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a database is, and the parameters with which libpq connects to it.

    Attributes:
        name: the address without anything secret.
        parameters: libpq's parameters, the password among them.
    """

    name: str
    parameters: Mapping[str, str] = field(repr=False)


def address_of(url: str) -> PostgresAddress:
    """Return the address that a URL names; no error repeats what may be a password.

    Raises:
        UsageError: it is not a valid connection string.
    """
    parts = split(url, _FORM)
    if not (parts.host or parts.options):
        raise UsageError("The connection string does not name a host and a database", hint=_FORM)
    given = {
        "host": parts.host,
        "port": parts.port,
        "user": parts.user,
        "password": parts.password,
        "dbname": parts.database,
    }
    parameters = {key: value for key, value in given.items() if value} | _options(parts.options)
    hidden = {key: Secret(value) if key in _SECRET else value for key, value in parameters.items()}
    return PostgresAddress(_name(parameters), hidden)


def _options(given: Mapping[str, str]) -> dict[str, str]:
    options = dict(given)
    ssl = options.pop("ssl", None)
    if ssl is not None:
        options.setdefault("sslmode", ssl_of(ssl).value)
        if ssl == Ssl.VERIFY_FULL:
            # The official client uses the system's authorities; libpq's default is a file in the home folder.
            options.setdefault("sslrootcert", "system")
    return options


def _name(parameters: Mapping[str, str]) -> str:
    host, port = parameters.get("host", ""), parameters.get("port", "")
    host = f"[{host}]" if ":" in host else host
    address = host + (f":{port}" if port else "")
    shown = "&".join(
        f"{key}={value}" for key, value in parameters.items() if key not in _SECRET | {"host", "port", "user", "dbname"}
    )
    return f"postgresql://{address}/{parameters.get('dbname', '')}" + (f"?{shown}" if shown else "")
