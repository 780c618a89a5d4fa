"""TCP keepalive settings, so that a connection whose other end has vanished is noticed.

A merge may take hours without sending a byte, so silence alone is no sign of failure. TCP's own probes are: they fail
if the other end has vanished, and they keep firewalls from dropping an idle connection.
"""

import socket
from typing import Final

CONNECTING: Final = 20
"""Seconds in which a connection must be established."""

IDLE: Final = 60
"""Seconds without a byte before the first probe."""

INTERVAL: Final = 15
"""Seconds between probes."""

PROBES: Final = 4
"""Unanswered probes after which the connection counts as lost."""

UNACKNOWLEDGED: Final = 900
"""Seconds without acknowledgement of sent data after which the connection counts as lost.

It has to exceed the lock timeout of ten minutes: a server that waits for a lock does not read what is sent to it.
"""

_OPTIONS = {
    "TCP_KEEPIDLE": IDLE,
    "TCP_KEEPALIVE": IDLE,  # as macOS calls it
    "TCP_KEEPINTVL": INTERVAL,
    "TCP_KEEPCNT": PROBES,
    "TCP_USER_TIMEOUT": UNACKNOWLEDGED * 1000,
}


def watch(connection: socket.socket) -> None:
    """Turn keepalive on, with the settings that the system supports; does nothing for sockets other than TCP."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
