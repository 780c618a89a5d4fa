"""PgBouncer in front of a PostgreSQL server of the tests, in the mode that shares connections between transactions."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from tests.support.postgres_server import missing

__all__ = ["pgbouncer"]

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
"""


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """Yield the connection string of the same database behind PgBouncer; skip or fail the test if it is missing.

    Connections of the pool take turns, so that no statement can rely on the session of the one before.
    """
    program = shutil.which("pgbouncer", path=_PATH)
    if program is None:
        missing("pgbouncer is not installed")
    server = psycopg.conninfo.conninfo_to_dict(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="dapkit-pgbouncer-"))
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(_CONFIGURATION.format(own=own, **server))
    user = "nobody" if os.getuid() == 0 else None  # it does not run as root
    for path in (folder, configuration):
        shutil.chown(path, user) if user else None
    process = subprocess.Popen([program, "--quiet", configuration], user=user, cwd=folder)
    behind = f"postgresql://{server['user']}@127.0.0.1:{own}/{server['dbname']}"
    try:
        _wait(behind)
        yield behind
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(url: str) -> None:
    for _ in range(100):
        with suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        time.sleep(0.05)
    pytest.fail("PgBouncer does not start")
