"""The client id and secret. Nothing else in the program reads secrets."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dapkit.errors import CredentialsError, MissingCredentialsError
from dapkit.protocol.secrets import Secret, without_traceback

CLIENT_ID: Final = "DAP_CLIENT_ID"
CLIENT_SECRET: Final = "DAP_CLIENT_SECRET"  # noqa: S105 -- the name of a variable
CLIENT_SECRET_FILE: Final = "DAP_CLIENT_SECRET_FILE"  # noqa: S105 -- the name of a variable

_MAX_SECRET_FILE: Final = 64 * 1024


_QUOTES = "\"'`"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
"""What is left of a client id if a shell or a file of variables takes its # for the start of a comment."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client id and its secret. `repr` omits the secret."""

    client_id: str
    client_secret: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_secret", Secret(self.client_secret))
        _check("client id", self.client_id)
        _check("client secret", self.client_secret)
        if ":" in self.client_id:
            raise CredentialsError("The client id contains a colon")
        if self.client_id[0] in _QUOTES or self.client_id[-1] in _QUOTES:
            raise CredentialsError(f"The client id contains quotes: {self.client_id}", hint="Remove the quotes.")
        if _REGION.fullmatch(self.client_id):
            hint = "A client id looks like eu-west-1#0c59…: write it in quotes, since # begins a comment elsewhere."
            raise CredentialsError(f"The client id ends before its #: {self.client_id}", hint=hint)

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"


@without_traceback
def read_credentials(client_id: str | None, client_secret: str | None, secret_file: Path | None) -> Credentials:
    """Return the credentials; without a secret, it is read from the file, which contains nothing else.

    Raises:
        MissingCredentialsError: the client id or the secret is missing.
        CredentialsError: the file cannot be read, or a value is invalid.
    """
    name, secret = _nonempty(client_id), _nonempty(client_secret)
    if secret is None and secret_file is not None:
        secret = _read_secret(secret_file)
    if name is None or secret is None:
        raise _missing(id_missing=name is None, secret_missing=secret is None)
    return Credentials(name, secret)


def _nonempty(text: str | None) -> str | None:
    return (text.strip() or None) if text is not None else None


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SECRET_FILE)
        text = content.decode("utf-8-sig").strip()
    except OSError as error:
        raise CredentialsError(
            f"Cannot read the client secret file {path}: {error.strerror or 'unknown reason'}",
            hint=f"Check --client-secret-file or {CLIENT_SECRET_FILE}.",
        ) from error
    except UnicodeDecodeError:
        raise CredentialsError(f"The client secret file is not UTF-8 text: {path}") from None
    if not text:
        raise CredentialsError(f"The client secret file is empty: {path}")
    return text


def _missing(*, id_missing: bool, secret_missing: bool) -> MissingCredentialsError:
    names, settings = [], []
    if id_missing:
        names.append("client id")
        settings.append(f"{CLIENT_ID} (or --client-id)")
    if secret_missing:
        names.append("client secret")
        settings.append(f"{CLIENT_SECRET} (or --client-secret-file, or --client-secret)")
    message = f"No {' and no '.join(names)} given"
    hint = f"Set {' and '.join(settings)}. You get both from the identity portal. Or try the sandbox with --sandbox."
    return MissingCredentialsError(message, hint=hint)


def _check(name: str, value: str) -> None:
    """Reject what an HTTP header cannot carry. The message does not quote the value."""
    if not value:
        raise CredentialsError(f"The {name} is empty")
    if any(not "!" <= character <= "~" for character in value):
        raise CredentialsError(
            f"The {name} contains an invalid character (a space, a line break or a curly quote)",
            hint="Copy it again as plain text, without surrounding characters.",
        )
