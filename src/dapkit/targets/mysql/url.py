"""PURE: a connection string of a MySQL or MariaDB database, as the official client writes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dapkit.errors import UsageError
from dapkit.protocol.secrets import Secret
from dapkit.targets.sql.connection_string import ESCAPE, Ssl, split, ssl_of

_FORM = "Write it like mysql://user:password@host:3306/database."
_OPTIONS = frozenset({"ssl", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket"})
_PORT = 3306


@dataclass(frozen=True, slots=True, kw_only=True)
class MySqlAddress:
    """Where a database is.

    Attributes:
        scheme: `mysql` or `mariadb`; they are the same to us.
        ssl: how much the connection is protected.
        files: the authority's certificate, our own and its key, by PyMySQL's words `ssl_ca`, `ssl_cert`, `ssl_key`.
    """

    scheme: str
    host: str
    port: int
    database: str
    user: str | None
    password: str = field(repr=False)
    ssl: Ssl
    unix_socket: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The address, without anything secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self.unix_socket or f'{host}:{self.port}'}/{self.database}"


def address_of(url: str) -> MySqlAddress:
    """Return the address that a URL names; no error repeats what may be a password.

    Raises:
        UsageError: it is not a valid connection string.
    """
    parts = split(url, _FORM)
    if not parts.database:
        raise UsageError("The connection string does not name a database", hint=_FORM)
    for name in parts.options.keys() - _OPTIONS:
        hint = f"Supported: {', '.join(sorted(_OPTIONS))}. {ESCAPE}"
        raise UsageError(f"Unsupported option {name!r} in the connection string", hint=hint)
    files = {name: value for name, value in parts.options.items() if name.startswith("ssl_")}
    return MySqlAddress(
        scheme=parts.scheme,
        host=parts.host or "localhost",
        port=int(parts.port or _PORT),
        database=parts.database,
        user=parts.user or None,
        password=Secret(parts.password),
        ssl=ssl_of(parts.options.get("ssl") or (Ssl.VERIFY_CA if "ssl_ca" in files else Ssl.PREFER)),
        unix_socket=parts.options.get("unix_socket"),
        files=files,
    )
