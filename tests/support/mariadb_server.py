"""A MariaDB server for tests: a private one from the programs that are installed, or the one that is named.

DAPKIT_TEST_MYSQL names one, of MySQL or MariaDB, by a connection string without a database, whose user may create
databases. Without either, tests that need a server are skipped, or fail where DAPKIT_SERVERS=required.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

import pymysql
import pytest

__all__ = ["MariaDbServer", "MySqlServer", "named_or_private_server"]

_NUMBERS = count(1)
_PROGRAMS = ("mariadbd", "mariadb-install-db")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_USER = "mysql"
_PASSWORD = "p@ss:w/rd#%"


class MySqlServer:
    """A running server, by a connection string without a database.

    `crash` kills it without closing connections, and starts it again; None if the server is not ours.
    """

    crash: Callable[[], None] | None = None

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        address = urlsplit(self.url)
        self.host, self.port = address.hostname or "localhost", address.port or 3306
        self.user, self.password = unquote(address.username or "root"), unquote(address.password or "")

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the connection string of a new, empty database, which is dropped afterwards."""
        name = f"dapkit_{os.getpid()}_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield f"{self.url}/{name}"
        finally:
            self.execute(f"DROP DATABASE {name}")

    def execute(self, *statements: str) -> None:
        """Run statements as an administrator."""
        with pymysql.connect(host=self.host, port=self.port, user=self.user, password=self.password) as connection:
            for statement in statements:
                connection.cursor().execute(statement)


@contextmanager
def named_or_private_server() -> Iterator[MySqlServer]:
    """Yield a server; skip or fail the test if there is none."""
    named = os.environ.get("DAPKIT_TEST_MYSQL")
    if named:
        yield MySqlServer(named)
        return
    with MariaDbServer() as server:
        yield server


class MariaDbServer(MySqlServer):
    """A server of our own, in a temporary folder; durability is turned off, which makes it fast."""

    def __init__(self, *options: str) -> None:
        missing = [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]
        if missing:
            reason = f"{' and '.join(missing)} not found (Debian: mariadb-server), nor does DAPKIT_TEST_MYSQL name one"
            pytest.fail(reason) if os.environ.get("DAPKIT_SERVERS") == "required" else pytest.skip(reason)
        super().__init__(f"mysql://dapkit:{quote(_PASSWORD, safe='')}@127.0.0.1:{_free_port()}")
        self.crash = self._crash
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="dapkit-mariadb-"))
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:  # then the server runs as another
            shutil.chown(self._folder, _USER)
        made = self._run("mariadb-install-db", "--auth-root-authentication-method=normal", "--skip-test-db").wait(60)
        assert made == 0, self._log.read_text(errors="replace")[-3000:]
        self.start()
        with pymysql.connect(host=self.host, port=self.port, user="root") as connection:
            cursor = connection.cursor()
            cursor.execute("CREATE USER dapkit@'%%' IDENTIFIED BY %s", (self.password,))
            cursor.execute("GRANT ALL ON *.* TO dapkit@'%' WITH GRANT OPTION")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, again if necessary, and wait until it responds."""
        self._process = self._run(
            "mariadbd", f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._folder}/socket",
            "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync",
            "--character-set-server=utf8mb4", "--skip-ssl", *self._options,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"the server does not start: {self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        """Stop the server, or kill it."""
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(60)

    def _crash(self) -> None:
        self.stop(kill=True)
        self.start()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0 and bool(probe.recv(5))

    def _run(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        path = shutil.which(program, path=_PATH)
        assert path is not None
        user = [f"--user={_USER}"] if os.geteuid() == 0 else []
        # A server that starts removes the temporary tables that it finds, also those of running servers.
        resources = [f"--datadir={self._folder}/data", f"--tmpdir={self._folder}"]
        general = ["--no-defaults", *user, *resources, "--skip-name-resolve"]
        general += ["--innodb-log-file-size=16M"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [path, *general, *options], stdout=log, stderr=log, env={**os.environ, "PATH": _PATH}
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
