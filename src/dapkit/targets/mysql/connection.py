"""A connection that answers LOAD DATA LOCAL from memory. It never opens a file that a server names."""

import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pymysql import OperationalError
from pymysql.connections import Connection, MySQLResult

from dapkit.targets.mysql.errors import OTHER_SERVER
from dapkit.targets.sql.keepalive import watch

_PACKET = 256 * 1024
_START = 5
"""Bytes at the start of a greeting: the packet's length (3) and number (1), and the protocol's version."""

_PAUSE = 0.02
"""Seconds between two looks at a greeting that has not arrived completely."""

_VERSIONS = (10, 255)
"""The version of the protocol, or the mark of an error instead of a greeting."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What LOAD DATA did: how many rows it inserted, and how many warnings it gave."""

    rows: int
    warnings: int


class LocalInfileConnection(Connection):
    """A connection of PyMySQL.

    PyMySQL answers LOAD DATA LOCAL only with a file that it opens itself; to send bytes instead, the two methods in
    which it does that are replaced. PyMySQL has no public interface for this.
    """

    _upload: Iterator[bytes] | None = None
    _sock: socket.socket
    _read_timeout: float | None
    _write_timeout: float | None

    def connect(self, sock: Any = None) -> None:
        """Connect. Timeouts apply only while connecting: a merge may take hours without sending a byte."""
        self._read_timeout = self._write_timeout = self.connect_timeout
        super().connect(sock)
        self._read_timeout = self._write_timeout = None
        watch(self._sock)

    def _get_server_information(self) -> None:
        """Read the server's greeting, after a look at whether it is one.

        Without that, the driver would take the text of another server for a long packet, and wait for the rest.
        """
        deadline = time.monotonic() + (self.connect_timeout or 0)
        try:
            start = self._sock.recv(_START, socket.MSG_PEEK)
            # A proxy may send the greeting in pieces. MSG_WAITALL has no effect on a socket with a timeout.
            while 0 < len(start) < _START and time.monotonic() < deadline:
                time.sleep(_PAUSE)
                start = self._sock.recv(_START, socket.MSG_PEEK)
        except TimeoutError:
            seconds = f"{self.connect_timeout:g} seconds"
            raise OperationalError(OTHER_SERVER, f"it sent nothing within {seconds}") from None
        if start and (len(start) < _START or start[3] != 0 or start[4] not in _VERSIONS):
            raise OperationalError(OTHER_SERVER, "it sent something else than a greeting")
        super()._get_server_information()  # type: ignore[misc]

    def load(self, statement: str, pieces: Iterable[bytes]) -> LoadResult:
        """Run LOAD DATA LOCAL with these bytes.

        Raises:
            pymysql.Error: from the server.
            Exception: whatever the pieces raise; the pieces sent before are loaded, and have to be rolled back.
        """
        self._upload = iter(pieces)
        try:
            rows = self.query(statement)
        finally:
            self._upload = None
        result: Any = self._result
        return LoadResult(rows, result.warning_count)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        if self._upload is None:
            return super()._read_query_result(unbuffered)  # type: ignore[misc]
        result = _Sending(self, self._upload)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Sending(MySQLResult):
    """The result of LOAD DATA LOCAL, which the server answers by asking for a file."""

    def __init__(self, connection: LocalInfileConnection, pieces: Iterator[bytes]) -> None:
        super().__init__(connection)
        self._pieces = pieces

    def _read_load_local_packet(self, first_packet: object) -> None:  # noqa: ARG002, we know what to send
        connection: Any = self.connection
        try:
            for piece in self._pieces:
                for start in range(0, len(piece), _PACKET):
                    connection.write_packet(piece[start : start + _PACKET])
        finally:
            if connection.open:
                connection.write_packet(b"")  # the end; without it the server would wait
                answer = connection._read_packet()  # noqa: SLF001
        self._read_ok_packet(answer)  # type: ignore[attr-defined]
