"""Connecting to MySQL and MariaDB, and the errors when that fails."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, cast

import pymysql
import pytest
import trustme
from tests.support.mariadb_server import mariadb_server
from tests.support.mysql_server import MySqlServer
from tests.support.on_a_thread import served

from dapkit.errors import TargetBusyError, TargetPermissionError, TargetRejectedError, TargetUnreachableError
from dapkit.targets.mysql import target as module
from dapkit.targets.mysql.driver import MySqlDriver
from dapkit.targets.mysql.target import target_of
from dapkit.targets.sql import keepalive


def test_the_name_holds_no_secret() -> None:
    target = target_of("mysql://me:secret@db/college")
    assert target.name == "mysql://db:3306/college"
    assert "secret" not in repr(target)


def test_an_unreachable_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, but not listening
        with pytest.raises(TargetUnreachableError) as caught:
            target_of(f"mysql://me:secret@127.0.0.1:{port}/college").open()
    assert "secret" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.server
def test_a_wrong_password_and_a_missing_database(mysql_server: MySqlServer, mysql_url: str) -> None:
    for url in (mysql_url.replace(f"{mysql_server.user}:", f"{mysql_server.user}:wrong"), f"{mysql_url}_not_there"):
        with pytest.raises(TargetRejectedError) as caught:
            target_of(url).open()
        assert mysql_server.password not in caught.value.message


def test_connecting_to_a_silent_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTING", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TargetRejectedError, match=r"sent nothing within 0\.05 seconds") as caught:
            target_of(f"mysql://me:secret@127.0.0.1:{port}/college").open()
    assert "port" in caught.value.hint


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail.example.org ESMTP\r\n"])
def test_a_server_of_another_kind_is_recognised_at_once(greeting: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()

    with served(serve) as port, pytest.raises(TargetRejectedError, match="does not answer as a MySQL server"):
        target_of(f"mysql://me:secret@127.0.0.1:{port}/college").open()


def test_a_greeting_may_arrive_in_pieces() -> None:
    answer = b"\xff" + (1040).to_bytes(2, "little") + b"Too many connections"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(len(answer).to_bytes(3, "little") + b"\0")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(answer)
        await reader.read()

    with served(serve) as port, pytest.raises(TargetBusyError, match="Too many connections"):
        target_of(f"mysql://me:secret@127.0.0.1:{port}/college").open()


def test_a_refusal_over_tls_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def refuse(**options: object) -> NoReturn:
        attempts.append(options["ssl_disabled"])
        raise pymysql.OperationalError(1045, "Access denied for user 'me'")

    monkeypatch.setattr(module, "LocalInfileConnection", refuse)
    with pytest.raises(TargetRejectedError, match="rejected the connection: Access denied"):
        target_of("mysql://me:secret@db/college").open()
    assert attempts == [False]
    with pytest.raises(TargetRejectedError):
        target_of("mysql://me:secret@db/college?ssl=allow").open()  # some accounts are refused only without TLS
    assert attempts == [False, True, False]


def test_a_failed_session_setup_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        closed = False

        def cursor(self) -> NoReturn:
            raise pymysql.err.OperationalError(1227, "No.")

        def close(self) -> None:
            self.closed = True

    connection = Refusing()
    monkeypatch.setattr(module, "LocalInfileConnection", lambda **_: connection)
    with pytest.raises(TargetPermissionError, match=r"No\."):
        target_of("mysql://me:secret@db/college").open()
    assert connection.closed


@pytest.mark.server
def test_a_long_merge_does_not_time_out_and_keepalive_is_on(mysql_url: str) -> None:
    session = target_of(mysql_url).open()
    link = cast(MySqlDriver, session.driver)._connection._sock
    session.driver.query("DO 1")
    assert link.gettimeout() is None
    assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == keepalive.PROBES
    session.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def protected(authority: trustme.CA) -> Iterator[MySqlServer]:
    """A server with a certificate, in a folder that the user whom it runs as can read."""
    folder = Path(tempfile.mkdtemp(prefix="dapkit-tls-"))
    folder.chmod(0o755)
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (folder / "key.pem").chmod(0o644)
    try:
        with mariadb_server("--ssl", *(f"--ssl-{name}={folder}/{name}.pem" for name in ("key", "cert"))) as running:
            running.execute("CREATE DATABASE college")
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def cipher(server: MySqlServer, options: str, host: str = "127.0.0.1") -> str:
    session = target_of(f"{server.url}/college?{options}".replace("@127.0.0.1", f"@{host}")).open()
    ((_, name),) = session.driver.query("SHOW STATUS LIKE 'Ssl_cipher'")
    session.close()
    return str(name)


@pytest.mark.server
@pytest.mark.slow
def test_connections_use_the_requested_tls_mode(protected: MySqlServer, ca: Path) -> None:
    assert cipher(protected, "ssl=disable") == cipher(protected, "ssl=allow") == ""
    for options in ("ssl=prefer", "ssl=require", f"ssl=verify-ca&ssl_ca={ca}", f"ssl_ca={ca}"):
        assert cipher(protected, options)
    assert cipher(protected, f"ssl=verify-full&ssl_ca={ca}", "localhost")


@pytest.mark.server
@pytest.mark.slow
def test_the_certificate_of_the_server_is_verified_on_request(protected: MySqlServer, ca: Path) -> None:
    other = ca.with_name("other.pem")
    trustme.CA().cert_pem.write_to_path(other)
    for options in (f"ssl=verify-ca&ssl_ca={other}", "ssl=verify-full", f"ssl=verify-full&ssl_ca={ca}"):
        with pytest.raises(TargetRejectedError, match="certificate"):
            cipher(protected, options)


@pytest.mark.server
def test_a_server_without_tls(mysql_server: MySqlServer, mysql_url: str) -> None:
    if mysql_server.has_tls:
        pytest.skip("this server has TLS")
    with pytest.raises(TargetRejectedError):
        target_of(f"{mysql_url}?ssl=require").open()
    target_of(f"{mysql_url}?ssl=prefer").open().close()
