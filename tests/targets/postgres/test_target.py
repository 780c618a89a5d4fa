"""Names of PostgreSQL targets, and the errors when connecting fails."""

import socket
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import psycopg
import pytest

from dapkit.errors import TargetError, TargetUnreachableError
from dapkit.targets.postgres.driver import PostgresDriver
from dapkit.targets.postgres.target import target_of


def test_the_name_holds_no_secret() -> None:
    target = target_of("postgresql://me:secret@db/college")
    assert target.name == "postgresql://db/college"
    assert "secret" not in repr(target)


def test_an_unreachable_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, but not listening
        with pytest.raises(TargetUnreachableError) as caught:
            target_of(f"postgresql://me:secret@127.0.0.1:{port}/college").open()
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_failed_session_setup_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_standby_behind_a_pooler_is_waited_for() -> None:
    class Standby:
        def transaction(self) -> AbstractContextManager[None]:
            return nullcontext()

        def execute(self, *_: object) -> None:
            raise psycopg.errors.FeatureNotSupported("cannot set transaction read-write mode during recovery")

    driver = PostgresDriver(cast(Any, Standby()), pooled=True)
    with pytest.raises(TargetUnreachableError, match="during recovery") as caught, driver.transaction():
        pass
    assert "read-only" in caught.value.hint
