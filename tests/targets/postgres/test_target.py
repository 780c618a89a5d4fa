"""The target itself: what it says of itself, and what it says when it cannot be opened."""

import socket

import psycopg
import pytest

from dapkit.errors import TargetError, TargetUnreachableError
from dapkit.targets.postgres.target import target_of


def test_the_name_holds_no_secret() -> None:
    target = target_of("postgresql://me:secret@db/college")
    assert target.name == "postgresql://db/college"
    assert "secret" not in repr(target)


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, but nobody listens
        with pytest.raises(TargetUnreachableError) as caught:
            target_of(f"postgresql://me:secret@127.0.0.1:{port}/college").open()
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_session_that_cannot_be_set_up_gives_its_connection_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        closed = False

        def execute(self, *_: object) -> None:
            raise psycopg.errors.InsufficientPrivilege("No.")

        def close(self) -> None:
            self.closed = True

    connection = Refusing()
    monkeypatch.setattr(psycopg, "connect", lambda **_: connection)
    with pytest.raises(TargetError, match=r"No\."):
        target_of("postgresql://me:secret@db/college").open()
    assert connection.closed
