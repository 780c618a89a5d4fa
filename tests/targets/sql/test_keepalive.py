"""Connections have TCP keepalive."""

import socket

from dapkit.targets.sql import keepalive


def test_a_connection_is_watched() -> None:
    with socket.socket() as connection:
        keepalive.watch(connection)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == keepalive.PROBES
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == keepalive.INTERVAL


def test_a_connection_that_is_not_tcp_is_not_watched() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        keepalive.watch(ours)
