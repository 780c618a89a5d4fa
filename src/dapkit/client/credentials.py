"""The client id and secret: where they come from, and what they may look like. The only reader of secrets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dapkit.errors import CredentialsError, MissingCredentialsError

CLIENT_ID: Final = "DAP_CLIENT_ID"
CLIENT_SECRET: Final = "DAP_CLIENT_SECRET"  # noqa: S105 -- the name of a variable
CLIENT_SECRET_FILE: Final = "DAP_CLIENT_SECRET_FILE"  # noqa: S105 -- the name of a variable

_LARGEST_FILE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows at the login. The secret is in no text form of it."""

    client_id: str
    client_secret: str

    def __post_init__(self) -> None:
        _check("client id", self.client_id)
        _check("client secret", self.client_secret)
        if ":" in self.client_id:
            raise CredentialsError("The client id holds a colon, which no client id does.")

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"


def read_credentials(client_id: str | None, client_secret: str | None, secret_file: Path | None) -> Credentials:
    """Return the credentials; without a secret, it is read from the file, which contains nothing else.

    Raises:
        MissingCredentialsError: the client id or the secret is missing.
        CredentialsError: the file cannot be read, or a value is invalid.
    """
    name, secret = _given(client_id), _given(client_secret)
    if secret is None and secret_file is not None:
        secret = _read_secret(secret_file)
    if name is None or secret is None:
        raise _missing(id_missing=name is None, secret_missing=secret is None)
    return Credentials(name, secret)


def _given(text: str | None) -> str | None:
    return (text.strip() or None) if text is not None else None


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE)
        text = content.decode("utf-8-sig").strip()
    except OSError as error:
        raise CredentialsError(
            f"The file of the client secret cannot be read: {path}: {error.strerror or 'unknown reason'}.",
            hint=f"Check --client-secret-file or {CLIENT_SECRET_FILE}.",
        ) from error
    except UnicodeDecodeError:
        raise CredentialsError(f"The file of the client secret does not hold text: {path}.") from None
    if not text:
        raise CredentialsError(f"The file of the client secret is empty: {path}.")
    return text


def _missing(*, id_missing: bool, secret_missing: bool) -> MissingCredentialsError:
    which = {(True, True): "client id and no client secret", (True, False): "client id"}.get(
        (id_missing, secret_missing), "client secret"
    )
    ways = []
    if id_missing:
        ways.append(f"{CLIENT_ID} (or --client-id)")
    if secret_missing:
        ways.append(f"{CLIENT_SECRET} (or --client-secret-file, or --client-secret)")
    return MissingCredentialsError(
        f"There is no {which}.",
        hint=f"Set {' and '.join(ways)}; keys come from the identity portal. Or try --sandbox.",
    )


def _check(what: str, value: str) -> None:
    """Refuse what no header could carry; the value itself is not repeated."""
    if not value:
        raise CredentialsError(f"The {what} is empty.")
    if any(not "!" <= character <= "~" for character in value):
        raise CredentialsError(
            f"The {what} holds a character that it cannot have (a space, a line break, a curly quote).",
            hint="Copy it again, as plain text and without anything around it.",
        )
