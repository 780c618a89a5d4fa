"""A connection that sends what LOAD DATA LOCAL asks for from memory. It never opens a file that a server names."""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pymysql.connections import Connection, MySQLResult

from dapkit.targets.sql.keepalive import watch

__all__ = ["Loaded", "Wire"]

_PACKET = 256 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """What LOAD DATA did: rows that are there, and how many warnings came with them."""

    rows: int
    warnings: int


class Wire(Connection):
    """A connection of PyMySQL."""

    _upload: Iterator[bytes] | None = None
    _sock: socket.socket
    _read_timeout: float | None
    _write_timeout: float | None

    def connect(self, sock: Any = None) -> None:
        """Connect. Only until then is a server given up because it is silent; a merge may be silent for hours."""
        self._read_timeout = self._write_timeout = self.connect_timeout
        super().connect(sock)
        self._read_timeout = self._write_timeout = None
        watch(self._sock)

    def load(self, statement: str, pieces: Iterable[bytes]) -> Loaded:
        """Run LOAD DATA LOCAL with these bytes.

        Raises:
            pymysql.Error: from the server.
            Exception: whatever the pieces raise; what came before is loaded, and has to be rolled back.
        """
        self._upload = iter(pieces)
        try:
            rows = self.query(statement)
        finally:
            self._upload = None
        result: Any = self._result
        return Loaded(rows, result.warning_count)

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

    def __init__(self, connection: Wire, pieces: Iterator[bytes]) -> None:
        super().__init__(connection)
        self._pieces = pieces

    def _read_load_local_packet(self, first_packet: object) -> None:  # noqa: ARG002, we know what to send
        wire: Any = self.connection
        try:
            for piece in self._pieces:
                for start in range(0, len(piece), _PACKET):
                    wire.write_packet(piece[start : start + _PACKET])
        finally:
            if wire.open:
                wire.write_packet(b"")  # the end; without it the server would wait
                answer = wire._read_packet()  # noqa: SLF001
        self._read_ok_packet(answer)  # type: ignore[attr-defined]
