"""How a connection to a server is watched, so that one whose other end vanished without a word is noticed.

A merge may take hours in which no byte comes. So silence says nothing; what counts is whether TCP's own probes are
answered, which also keeps firewalls from forgetting a connection that is idle.
"""

import socket
from typing import Final

CONNECTING: Final = 20
"""Seconds for a connection to come about."""

IDLE: Final = 60
"""Seconds without a byte before the first probe."""

INTERVAL: Final = 15
"""Seconds between probes."""

PROBES: Final = 4
"""Probes without an answer after which the other end is gone."""

UNACKNOWLEDGED: Final = 900
"""Seconds after which the other end is gone that took nothing of what was sent; a server that waits for a lock, for ten
minutes at most, takes nothing either."""

_OPTIONS = {
    "TCP_KEEPIDLE": IDLE,
    "TCP_KEEPALIVE": IDLE,  # as macOS calls it
    "TCP_KEEPINTVL": INTERVAL,
    "TCP_KEEPCNT": PROBES,
    "TCP_USER_TIMEOUT": UNACKNOWLEDGED * 1000,
}


def watch(connection: socket.socket) -> None:
    """Have the system watch a connection, as far as it can; one that is not TCP needs no watch."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
