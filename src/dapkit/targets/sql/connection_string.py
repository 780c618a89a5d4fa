"""PURE: the connection string of a database server, as the official client writes it, taken apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from dapkit.errors import UsageError

ESCAPE = "Write @ : / # ? and % in a password as %40 %3A %2F %23 %3F %25."
TLS_HINT = "Check `ssl=` in the connection string, that the server has TLS, and that its certificate is trusted here."
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>\d+))?")


class Ssl(StrEnum):
    """How much TLS protects a connection, in the official client's words."""

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
        UsageError: it is not a connection string, or its password is not escaped.
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if authority.count("@") > 1 or ("@" not in authority and "@" in rest.partition("?")[0]):
        raise UsageError("The password in the connection string has characters that must be escaped", hint=ESCAPE)
    credentials, _, where = authority.rpartition("@")
    if credentials.count(":") > 1:
        raise UsageError("The user or password in the connection string has a colon", hint=ESCAPE)
    host_and_port = _HOST_AND_PORT.fullmatch(where)
    if host_and_port is None:
        raise UsageError("The port in the connection string is not a number", hint=f"{form} {ESCAPE}")
    path, _, query = rest[len(authority) :].partition("?")
    if "#" in path + query:
        raise UsageError("The connection string contains a #", hint=ESCAPE)
    database = unquote(path.removeprefix("/"))
    if "/" in database:
        raise UsageError("The connection string does not name a database", hint=form)
    user, _, password = credentials.partition(":")
    return ConnectionString(
        scheme=scheme.lower(),
        user=unquote(user),
        password=unquote(password),
        host=unquote(host_and_port["host"].strip("[]")),
        port=host_and_port["port"] or "",
        database=database,
        options=dict(parse_qsl(query, keep_blank_values=True)),
    )


def ssl_of(word: str) -> Ssl:
    """Return the value of the option `ssl`. Raises UsageError if it is not one of `Ssl`."""
    try:
        return Ssl(word)
    except ValueError as error:
        raise UsageError(
            f"Invalid value for ssl in the connection string: {word!r}", hint=f"Use one of {', '.join(Ssl)}."
        ) from error


def file_of(url: str, scheme: str, example: str) -> Path:
    """Return the file that `scheme:FILE` names; `~` is the home folder.

    Raises:
        UsageError: it names no file, or has three slashes, which other tools read in different ways.
    """
    file = url.partition(":")[2]
    if file.startswith("///"):
        name = file.lstrip("/")
        hint = f"Write {scheme}:{name} for a file in the current folder, or {scheme}:/{name} for an absolute path."
        raise UsageError(f"It is not clear which file {url} means", hint=hint)
    file = file.removeprefix("//")
    if not file or file == ":memory:":
        raise UsageError(f"The URL {scheme}: does not name a file", hint=f"Write it like {scheme}:{example}.")
    return Path(file).expanduser() if file.startswith("~") else Path(file)
