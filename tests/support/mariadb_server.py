"""A MariaDB server of the tests' own, in a temporary folder on a free port, run by an unprivileged user."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pymysql

__all__ = ["MariaDbServer", "missing"]

_PROGRAMS = ("mariadbd", "mariadb-install-db")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_USER = "mysql"


def missing() -> list[str]:
    """Return the programs that a server needs and that are not installed."""
    return [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]


class MariaDbServer:
    """A server; what it does survives no power failure, which makes it quick."""

    host, user, password = "127.0.0.1", "dapkit", "p@ss:w/rd#"

    def __init__(self, *options: str) -> None:
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="dapkit-mariadb-"))
        self._log = self._folder / "log"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
        self._run("mariadb-install-db", "--auth-root-authentication-method=normal", "--skip-test-db").wait(60)
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
        """Start the server, again if need be, and wait until it answers."""
        self._process = self._run(
            "mariadbd", f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._folder}/socket",
            "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--character-set-server=utf8mb4", "--skip-ssl",
            *self._options,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(self._log.read_text(encoding="utf-8", errors="replace")[-3000:])
            time.sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        """Stop the server, or kill it."""
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(60)

    def url(self, database: str, scheme: str = "mysql") -> str:
        """Return a connection string."""
        return f"{scheme}://{self.user}:p%40ss%3Aw%2Frd%23@{self.host}:{self.port}/{database}"

    def execute(self, *statements: str) -> None:
        """Run statements as one who may do everything."""
        with pymysql.connect(host=self.host, port=self.port, user=self.user, password=self.password) as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((self.host, self.port)) != 0:
                return False
            return bool(probe.recv(5))

    def _run(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        path = shutil.which(program, path=_PATH)
        assert path is not None
        user = [f"--user={_USER}"] if os.geteuid() == 0 else []
        general = ["--no-defaults", *user, f"--datadir={self._folder}/data", "--skip-name-resolve"]
        general += ["--innodb-log-file-size=16M"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [path, *general, *options], stdout=log, stderr=log, env={**os.environ, "PATH": _PATH}
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
