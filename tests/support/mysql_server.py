"""A server of MySQL or MariaDB for tests: one of our own in a temporary folder, or the one that is named.

DAPKIT_TEST_MYSQL names one by a connection string without a database, whose user may create databases.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

import pymysql
import pytest

__all__ = ["MYSQL_SERVERS", "MySqlServer", "PrivateServer", "Product", "mysql_server", "named_server", "unavailable"]

_NUMBERS = count(1)
_PASSWORD = "p@ss:w/rd#%"
_HOME = Path(os.environ.get("DAPKIT_MYSQL_HOME") or Path(__file__).parents[2] / ".bench" / "mysql")
"""Where `install_mysql.sh` put the server."""


MYSQL_SERVERS = ("named",) if os.environ.get("DAPKIT_TEST_MYSQL") else ("mariadb", "mysql")
"""The servers that tests run on: the named one alone, or one of each product."""


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
        with self._connect() as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def variable(self, name: str) -> str:
        """Return a global variable of the server; empty if it does not exist."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES LIKE %s", (name,))
            row = cursor.fetchone()
            return str(row[1]) if row else ""

    @contextmanager
    def with_variable(self, name: str, value: str) -> Iterator[None]:
        """Give a global variable another value for a while."""
        before = self.variable(name)
        self.execute(f"SET GLOBAL {name} = {value}")
        try:
            yield
        finally:
            self.execute(f"SET GLOBAL {name} = {before}")

    @property
    def has_tls(self) -> bool:
        """Whether connections can be encrypted."""
        return self.variable("have_ssl") == "YES" or bool(self.variable("tls_version") and self.variable("ssl_cert"))

    def _connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host=self.host, port=self.port, user=self.user, password=self.password)


@dataclass(frozen=True, kw_only=True)
class Product:
    """How a server of our own is set up and started.

    Attributes:
        name: of the product.
        create: the command that creates a data folder, without the options that both commands get.
        serve: the command that starts the server.
        user: the system's user as whom it runs if the tests run as root.
        path: where programs are searched.
    """

    name: str
    create: Sequence[str]
    serve: Sequence[str]
    user: str
    path: str = os.environ.get("PATH", "")


def unavailable(reason: str) -> None:
    """Skip the test, or fail it where servers are required."""
    pytest.fail(reason) if os.environ.get("DAPKIT_SERVERS") == "required" else pytest.skip(reason)


def named_server() -> MySqlServer | None:
    """Return the server that DAPKIT_TEST_MYSQL names, or None."""
    named = os.environ.get("DAPKIT_TEST_MYSQL")
    return MySqlServer(named) if named else None


def mysql_server(*, log_bin: bool = True, gtid: bool = True) -> "PrivateServer":
    """Return a MySQL server of our own; one that replicates forbids some statements."""
    options = ["--log-bin=binlog" if log_bin else "--skip-log-bin", "--server-id=1", "--local-infile=ON"]
    options += ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"] if gtid else []
    program = _HOME / "mysqld"
    if not program.exists():
        unavailable(f"{program} not found: run tests/support/install_mysql.sh {_HOME}, or set DAPKIT_TEST_MYSQL")
    shared = _HOME / "root" / "usr" / "share" / "mysql"
    folders = (f"--lc-messages-dir={shared}", f"--character-sets-dir={shared}/charsets")
    common = (str(program), "--no-defaults", *folders)
    product = Product(
        name="mysql",
        create=(*common, "--initialize-insecure"),
        serve=(
            *common,
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
            "--innodb-buffer-pool-size=64M",
            "--sync-binlog=0",
            "--innodb-doublewrite=OFF",
            "--performance-schema=OFF",
            *options,
        ),
        user="nobody",
    )
    return PrivateServer(product)


class PrivateServer(MySqlServer):
    """A server of our own, in a temporary folder; durability is turned off, which makes it fast."""

    def __init__(self, product: Product) -> None:
        super().__init__(f"mysql://dapkit:{quote(_PASSWORD, safe='')}@127.0.0.1:{_free_port()}")
        self.crash = self._crash
        self._product = product
        self._folder = Path(tempfile.mkdtemp(prefix=f"dapkit-{product.name}-"))
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:  # then the server runs as another user
            shutil.chown(self._folder, self._product.user)
        made = self._run(self._product.create).wait(120)
        assert made == 0, self._end_of_log()
        self.start()
        with pymysql.connect(host=self.host, port=self.port, user="root", unix_socket=self._socket) as connection:
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
            self._product.serve, f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._socket}",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync",
            "--character-set-server=utf8mb4", "--skip-name-resolve",
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"the server does not start: {self._end_of_log()}")
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        """Stop the server, or kill it."""
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(60)

    @property
    def _socket(self) -> str:
        return f"{self._folder}/socket"

    def _crash(self) -> None:
        self.stop(kill=True)
        self.start()

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    def _answers(self) -> bool:
        with socket.socket() as probe, suppress(OSError):
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0 and bool(probe.recv(5))
        return False

    def _run(self, command: Sequence[str], *options: str) -> subprocess.Popen[bytes]:
        user = [f"--user={self._product.user}"] if os.geteuid() == 0 else []
        # A server that starts removes the temporary tables that it finds, also those of running servers.
        resources = [f"--datadir={self._folder}/data", f"--tmpdir={self._folder}"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, *user, *resources, *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": self._product.path},
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
