"""PURE: a connection string of a PostgreSQL database, as the official client and libpq write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from dapkit.errors import UsageError

__all__ = ["Address", "address_of"]

_SSL = ("disable", "prefer", "allow", "require", "verify-ca", "verify-full")
_FORM = "Write it like postgresql://user:password@host:5432/database"
_ESCAPE = "Write @ : / # and % in a password as %40 %3A %2F %23 %25."
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>\d+))?")
_SECRET = frozenset({"password", "sslpassword", "passfile"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, and what libpq is told to reach it.

    Attributes:
        name: the address without anything secret.
        parameters: libpq's parameters, the password among them.
    """

    name: str
    parameters: Mapping[str, str] = field(repr=False)


def address_of(url: str) -> Address:
    """Return the address that a URL names; no error repeats what may be a password.

    Raises:
        UsageError: it names none.
    """
    _, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority.count("@") > 1 or ("@" not in authority and "@" in rest.partition("?")[0]):
        raise UsageError("The password in the connection string has characters that must be escaped", hint=_ESCAPE)
    user, _, host = authority.rpartition("@")
    if user.count(":") > 1:
        raise UsageError("The user or password in the connection string has a colon", hint=_ESCAPE)
    place = _PLACE.fullmatch(host)
    if place is None:
        raise UsageError("The connection string has no port that is a number", hint=f"{_FORM}. {_ESCAPE}")
    path, _, query = rest[len(authority) :].partition("?")
    if "#" in path + query:
        raise UsageError("The connection string has a # in it", hint=_ESCAPE)
    database = unquote(path.removeprefix("/"))
    if "/" in database or not (host or query):
        raise UsageError("The connection string does not name a host and a database", hint=_FORM)
    name, _, password = user.partition(":")
    given = {
        "host": unquote(place["host"].strip("[]")),
        "port": place["port"] or "",
        "user": unquote(name),
        "password": unquote(password),
        "dbname": database,
    }
    parameters = {key: value for key, value in given.items() if value} | _options(query)
    return Address(_name(parameters), parameters)


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    ssl = options.pop("ssl", None)
    if ssl is not None:
        if ssl not in _SSL:
            raise UsageError(f"ssl={ssl} is not known", hint=f"Use one of {', '.join(_SSL)}.")
        options.setdefault("sslmode", ssl)
        if ssl == "verify-full":
            # As the official client: against the system's authorities; libpq's own default is a file in the home.
            options.setdefault("sslrootcert", "system")
    return options


def _name(parameters: Mapping[str, str]) -> str:
    host, port = parameters.get("host", ""), parameters.get("port", "")
    host = f"[{host}]" if ":" in host else host
    place = host + (f":{port}" if port else "")
    shown = "&".join(
        f"{key}={value}" for key, value in parameters.items() if key not in _SECRET | {"host", "port", "user", "dbname"}
    )
    return f"postgresql://{place}/{parameters.get('dbname', '')}" + (f"?{shown}" if shown else "")
