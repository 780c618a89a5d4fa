"""PURE: the connection string of a database server, as the official client writes it, taken apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote

from dapkit.errors import UsageError

ESCAPE = "Write @ : / # ? and % in a password as %40 %3A %2F %23 %3F %25."
TLS_HINT = "Check `ssl=` in the connection string, that the server has TLS, and that its certificate is trusted here."
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>\d+))?")


class Ssl(StrEnum):
    """How much a connection is protected, in the official words."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionString:
    """The parts of a connection string, unescaped; what is not named is empty. `options` follow its question mark."""

    scheme: str
    user: str
    password: str = field(repr=False)
    host: str
    port: str
    database: str
    options: Mapping[str, str] = field(repr=False)


def split(url: str, form: str) -> ConnectionString:
    """Take a connection string apart; no error repeats what may be a password.

    Args:
        url: the connection string.
        form: a sentence that says how one is written.

    Raises:
        UsageError: it is none, or its password is not escaped.
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority.count("@") > 1 or ("@" not in authority and "@" in rest.partition("?")[0]):
        raise UsageError("The password in the connection string has characters that must be escaped", hint=ESCAPE)
    who, _, where = authority.rpartition("@")
    if who.count(":") > 1:
        raise UsageError("The user or password in the connection string has a colon", hint=ESCAPE)
    place = _PLACE.fullmatch(where)
    if place is None:
        raise UsageError("The connection string has no port that is a number", hint=f"{form}. {ESCAPE}")
    path, _, query = rest[len(authority) :].partition("?")
    if "#" in path + query:
        raise UsageError("The connection string has a # in it", hint=ESCAPE)
    database = unquote(path.removeprefix("/"))
    if "/" in database:
        raise UsageError("The connection string does not name a database", hint=form)
    user, _, password = who.partition(":")
    return ConnectionString(
        scheme=scheme.lower(),
        user=unquote(user),
        password=unquote(password),
        host=unquote(place["host"].strip("[]")),
        port=place["port"] or "",
        database=database,
        options=dict(parse_qsl(query, keep_blank_values=True)),
    )


def ssl_of(word: str) -> Ssl:
    """Return what a word of the option `ssl` means. Raises UsageError when there is none such."""
    try:
        return Ssl(word)
    except ValueError as error:
        raise UsageError(f"ssl={word} is not known", hint=f"Use one of {', '.join(Ssl)}.") from error
