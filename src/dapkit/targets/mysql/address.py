"""PURE: a connection string of a MySQL or MariaDB database, as the official client writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote

from dapkit.errors import UsageError

__all__ = ["Address", "Ssl", "address_of"]

_FORM = "Write it like mysql://user:password@host:3306/database"
_ESCAPE = "Write @ : / # ? and % in a password as %40 %3A %2F %23 %3F %25."
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>\d+))?")
_OPTIONS = frozenset({"ssl", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket"})
_PORT = 3306


class Ssl(StrEnum):
    """How much a connection is protected, in the official words."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
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


def address_of(url: str) -> Address:
    """Return the address that a URL names; no error repeats what may be a password.

    Raises:
        UsageError: it names none.
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority.count("@") > 1 or ("@" not in authority and "@" in rest.partition("?")[0]):
        raise UsageError("The password in the connection string has characters that must be escaped", hint=_ESCAPE)
    who, _, where = authority.rpartition("@")
    if who.count(":") > 1:
        raise UsageError("The user or password in the connection string has a colon", hint=_ESCAPE)
    place = _PLACE.fullmatch(where)
    if place is None:
        raise UsageError("The connection string has no port that is a number", hint=f"{_FORM}. {_ESCAPE}")
    path, _, query = rest[len(authority) :].partition("?")
    if "#" in path + query:
        raise UsageError("The connection string has a # in it", hint=_ESCAPE)
    database = unquote(path.removeprefix("/"))
    if "/" in database or not database:
        raise UsageError("The connection string does not name a database", hint=_FORM)
    options = _options(query)
    user, _, password = who.partition(":")
    files = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return Address(
        scheme=scheme.lower(),
        host=unquote(place["host"].strip("[]")) or "localhost",
        port=int(place["port"] or _PORT),
        database=database,
        user=unquote(user) or None,
        password=unquote(password),
        ssl=_ssl(options.get("ssl") or (Ssl.VERIFY_CA if "ssl_ca" in files else Ssl.PREFER)),
        unix_socket=options.get("unix_socket"),
        files=files,
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options.keys() - _OPTIONS:
        hint = f"Known are {', '.join(sorted(_OPTIONS))}. {_ESCAPE}"
        raise UsageError(f"The connection string has an option {name!r} that is not known", hint=hint)
    return options


def _ssl(word: str) -> Ssl:
    try:
        return Ssl(word)
    except ValueError as error:
        raise UsageError(f"ssl={word} is not known", hint=f"Use one of {', '.join(Ssl)}.") from error
