"""The driver of SQL Server, against the real one's signatures: connecting, batches, transactions, bulk copy."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any, cast

import mssql_python
import pytest
from tests.support.mssql_driver import StandInConnection, rejection

from dapkit.errors import IntegrityError, MissingDriverError, TargetError, TargetUnreachableError
from dapkit.targets.mssql.driver import MsSqlDriver
from dapkit.targets.mssql.target import target_of as mssql_target
from dapkit.targets.registry import target_of

URL = "mssql://me:s3cr%7Bet@127.0.0.1:1/college"


def reject(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def connect(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mssql_python, "connect", connect)


def test_a_target_shows_no_secret_and_needs_no_driver_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mssql_python", None)
    target = target_of(URL)
    assert target.name == "mssql://127.0.0.1:1/college"
    assert "s3cr" not in repr(target)
    assert "experimental" in (target.warning or "")


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mssql_python", None)
    with pytest.raises(MissingDriverError) as caught:
        mssql_target(URL).open()
    assert "dapkit[mssql]" in caught.value.hint


def test_a_driver_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "mssql_python":
            raise ImportError("libssl.so.3: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr("builtins.__import__", broken)
    with pytest.raises(MissingDriverError, match="libssl") as caught:
        mssql_target(URL).open()
    assert "libltdl7" in caught.value.hint


def test_a_missing_library_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    reject(monkeypatch, RuntimeError("Failed to load the driver. Please read the documentation"))
    with pytest.raises(MissingDriverError) as caught:
        mssql_target(URL).open()
    assert "libltdl7" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        rejection("28000", "Login failed for user 'me', whose password is s3cr{et."),
        rejection("08001", "TCP Provider: s3cr{et"),
        RuntimeError("s3cr{et"),
        mssql_python.ConnectionStringParseError(["Unknown keyword s3cr{et"]),
    ],
)
def test_a_connection_that_fails_shows_no_secret(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    reject(monkeypatch, error)
    with pytest.raises(TargetUnreachableError, match=r"mssql://127\.0\.0\.1:1/college cannot be reached") as caught:
        mssql_target(URL).open()
    assert "s3cr" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_real_driver_without_a_server() -> None:
    with pytest.raises((TargetUnreachableError, MissingDriverError)) as caught:
        mssql_target(f"{URL}?ConnectRetryCount=0").open()
    assert "s3cr" not in caught.value.message


def test_a_connection_is_closed_if_its_settings_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = StandInConnection(answers={"SET LANGUAGE": rejection("42000", "No.")})
    monkeypatch.setattr(mssql_python, "connect", lambda *_, **__: driver)
    with pytest.raises(TargetError):
        mssql_target(URL).open()
    assert driver.closed


def test_connecting_uses_the_real_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def connect(*args: Any, **kwargs: Any) -> StandInConnection:
        asked.update(inspect.signature(real).bind(*args, **kwargs).arguments)
        return StandInConnection(answers={"DATABASEPROPERTYEX": [(51, 65001, 65001)]})

    real = mssql_python.connect
    monkeypatch.setattr(mssql_python, "connect", connect)
    mssql_target(URL).open()
    assert asked["autocommit"] is True
    assert "PWD={s3cr{et}" in asked["connection_str"]


def test_the_real_bulk_copy_uses_a_separate_connection() -> None:
    source = inspect.getsource(mssql_python.Cursor.bulkcopy)
    assert "PyCoreConnection(" in source, "if that changed, rows could be copied within the transaction"


def driver(**answers: Any) -> tuple[MsSqlDriver, StandInConnection]:
    connection = StandInConnection(answers={"DATABASEPROPERTYEX": [(51, 65001, 65001)]} | answers)
    made = MsSqlDriver(cast(Any, connection))
    connection.forget()
    return made, connection


def test_a_session_uses_english_and_undoes_everything_after_an_error() -> None:
    connection = StandInConnection(answers={"DATABASEPROPERTYEX": [(51, 1252, None)]})
    made = MsSqlDriver(cast(Any, connection))
    for setting in ("LANGUAGE us_english", "XACT_ABORT ON", "QUOTED_IDENTIFIER ON", "ANSI_NULLS ON"):
        assert f"SET {setting}" in connection.batches[0]
    assert made.dialect.collation == "Latin1_General_100_BIN2", "SQL Server 2017 has no UTF-8"
    made.close()
    assert connection.closed


@pytest.mark.parametrize("call", ["query", "execute"])
def test_errors_of_later_statements_of_a_batch_are_raised(call: str) -> None:
    made, connection = driver()
    connection.later = rejection("42000", "Later.")
    with pytest.raises(TargetError, match="Later"):
        getattr(made, call)("EXEC something")


def test_transactions_and_savepoints() -> None:
    made, connection = driver(Wrong=rejection("42000", "No."))
    with made.transaction():
        with pytest.raises(TargetError), made.transaction():
            made.execute("Wrong")
        made.execute("Right")
    assert [batch.split(" TRANSACTION")[0] for batch in connection.batches] == [
        "BEGIN", "SAVE", "Wrong", "IF XACT_STATE() = 1 ROLLBACK", "Right", "COMMIT",
    ]  # fmt: skip
    connection.forget()
    with pytest.raises(TargetError), made.transaction():
        made.execute("Wrong")
    assert connection.batches[-1] == "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"


def test_errors_of_rows_are_raised_unchanged_and_those_of_the_driver_translated() -> None:
    def damaged() -> Iterator[tuple[int]]:
        yield (1,)
        raise IntegrityError("damaged")

    made, _ = driver(COPY=RuntimeError("Bulk Copy Error: no such table"))
    with pytest.raises(IntegrityError, match="damaged"):
        made.bulk_copy("t", damaged())
    with pytest.raises(TargetError, match="no such table"):
        made.bulk_copy("t", [(1,)])
