"""PURE: a connection string of a SQL Server database (experimental), as the official client writes it.

It becomes the driver's own form: a list of `keyword={value}`, in which a closing brace is doubled. The driver verifies
certificates completely, including the host name, or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dapkit.errors import UsageError
from dapkit.protocol.secrets import Secret
from dapkit.targets.sql.connection_string import ESCAPE, ConnectionString, Ssl, split, ssl_of

_FORM = "Write it like mssql://user:password@host:1433/database."
_PORT = 1433
_ENCRYPTION = {
    Ssl.DISABLE: ("no", "yes"),
    Ssl.ALLOW: ("no", "yes"),
    Ssl.PREFER: ("yes", "yes"),
    Ssl.REQUIRE: ("yes", "yes"),
    Ssl.VERIFY_CA: ("yes", "no"),
    Ssl.VERIFY_FULL: ("yes", "no"),
}
"""For each value of `ssl` whether the connection is encrypted, and whether any certificate is trusted."""

_ENCRYPTION_KEYWORDS = frozenset({"Encrypt", "TrustServerCertificate"})
_KEYWORDS = {
    keyword.lower(): keyword
    for keyword in (
        *_ENCRYPTION_KEYWORDS, "ApplicationIntent", "Authentication", "ConnectRetryCount", "ConnectRetryInterval",
        "HostnameInCertificate", "IpAddressPreference", "KeepAlive", "KeepAliveInterval", "MultiSubnetFailover",
        "PacketSize", "ServerCertificate", "ServerSPN", "Trusted_Connection",
    )
}  # fmt: skip
"""The driver's keywords that may follow the question mark; the other keywords are derived from the rest of the URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MsSqlAddress:
    """Where a database is.

    Attributes:
        name: the address without anything secret.
        keywords: the keywords with which the driver connects, including the password.
    """

    name: str
    keywords: Mapping[str, str] = field(repr=False)

    @property
    def connection_string(self) -> str:
        """The driver's connection string, which includes the password."""
        return ";".join(f"{key}={{{value.replace('}', '}}')}}}" for key, value in self.keywords.items())

    @property
    def password(self) -> str:
        """What must not be shown."""
        return self.keywords.get("PWD", "")


def address_of(url: str) -> MsSqlAddress:
    """Return the address that a URL names; no error repeats what may be a password.

    Raises:
        UsageError: it is not a valid connection string.
    """
    parts = split(url, _FORM)
    if not (parts.host and parts.database):
        raise UsageError("The connection string does not name a host and a database", hint=_FORM)
    if "\0" in parts.user + parts.password + parts.host + parts.database:
        raise UsageError("The connection string contains a NUL character", hint=_FORM)
    options = _options(parts.options)
    named = {"Server": _server(parts), "Database": parts.database, "UID": parts.user, "PWD": Secret(parts.password)}
    if not parts.user and "Authentication" not in options:
        options.setdefault("Trusted_Connection", "yes")
    given = {key: value for key, value in named.items() if value}
    return MsSqlAddress(name=_name(parts), keywords=given | options)


def _options(given: Mapping[str, str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in given.items():
        if name == "ssl":
            continue
        keyword = _KEYWORDS.get(name.lower())
        if keyword is None or not value:
            hint = f"Supported: ssl, {', '.join(sorted(_KEYWORDS.values()))}, each with a value. {ESCAPE}"
            raise UsageError(f"Unsupported option {name!r} in the connection string", hint=hint)
        options[keyword] = value
    if "ssl" in given and _ENCRYPTION_KEYWORDS & options.keys():
        raise UsageError("The connection string sets encryption twice", hint="Leave out ssl or Encrypt.")
    encrypted, trusting = _ENCRYPTION[ssl_of(given.get("ssl", Ssl.PREFER))]
    if "Encrypt" in options:  # the driver then verifies certificates by default
        trusting = "no"
    return {"Encrypt": encrypted, "TrustServerCertificate": trusting} | options


def _port(parts: ConnectionString) -> str:
    """Return the port; a named instance has none: the driver asks the server for it."""
    return parts.port or ("" if "\\" in parts.host else str(_PORT))


def _server(parts: ConnectionString) -> str:
    port = _port(parts)
    return f"{parts.host},{port}" if port else parts.host


def _name(parts: ConnectionString) -> str:
    host, port = f"[{parts.host}]" if ":" in parts.host else parts.host, _port(parts)
    return f"mssql://{host}{':' if port else ''}{port}/{parts.database}"
