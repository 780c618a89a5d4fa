"""Where credentials come from, in which order, and which are rejected."""

from pathlib import Path

import pytest

from dapkit.client.credentials import Credentials, read_credentials
from dapkit.errors import CredentialsError, MissingCredentialsError


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"\xef\xbb\xbf  from-file\r\n")
    return path


def test_a_secret_takes_precedence_over_a_file(secret_file: Path) -> None:
    assert read_credentials("id", " flag\n", secret_file) == Credentials("id", "flag")
    assert read_credentials("id", "", secret_file) == Credentials("id", "from-file")


@pytest.mark.parametrize(
    ("client_id", "secret", "message", "named", "not_named"),
    [
        (None, None, "No client id and no client secret given", ["DAP_CLIENT_ID", "DAP_CLIENT_SECRET"], []),
        (None, "s", "No client id given", ["DAP_CLIENT_ID"], ["DAP_CLIENT_SECRET"]),
        ("i", " ", "No client secret given", ["DAP_CLIENT_SECRET"], ["DAP_CLIENT_ID"]),
    ],
)
def test_the_message_names_what_is_missing(
    client_id: str | None, secret: str | None, message: str, named: list[str], not_named: list[str]
) -> None:
    with pytest.raises(MissingCredentialsError, match=message) as caught:
        read_credentials(client_id, secret, None)
    assert all(name in caught.value.hint for name in named)
    assert not any(name in caught.value.hint for name in not_named)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00secret"])
def test_a_file_without_a_secret(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(CredentialsError, match=r"secret.*secret"):
        read_credentials("id", None, path)


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="Cannot read"):
        read_credentials("id", None, tmp_path / name)


@pytest.mark.parametrize("secret", ["one two", "one\ntwo", "“quoted”", "sécret", "a\x00b", ""])
def test_the_message_does_not_quote_an_invalid_secret(secret: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        Credentials("id", secret)
    assert not secret or secret not in caught.value.message


def test_a_client_id_with_a_colon() -> None:
    with pytest.raises(CredentialsError, match="colon"):
        Credentials("a:b", "secret")


def test_repr_omits_the_secret() -> None:
    credentials = Credentials("us-east-1#abc", "hush")
    assert "hush" not in repr(credentials) + str(credentials) + f"{credentials}"
    assert "us-east-1#abc" in repr(credentials)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ('"eu-west-1#0c59"', "contains quotes"),
        ("'eu-west-1#0c59", "contains quotes"),
        ("eu-west-1", "ends before its #"),
    ],
)
def test_a_client_id_that_a_shell_or_a_file_changed(name: str, words: str) -> None:
    with pytest.raises(CredentialsError, match=words):
        Credentials(name, "secret")
