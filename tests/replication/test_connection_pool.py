"""Connections are kept for the next table, closed when they break, and limited by the server."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.errors import TargetBusyError, TargetError, TargetUnreachableError
from dapkit.replication.connection_pool import ConnectionPool
from dapkit.targets.base import Capabilities, Target
from dapkit.transfer.workers import worker_pool


class Server:
    """A target that allows a number of connections."""

    name = "server"
    capabilities = Capabilities(connections=4)
    warning = None
    empty_substitute = None

    def __init__(self, limit: int = 4) -> None:
        self.limit = limit
        self.open_ = 0
        self.opened = 0

    def open(self) -> "Server":
        if self.open_ == self.limit:
            raise TargetBusyError("too many connections")
        self.open_ += 1
        self.opened += 1
        return self

    def close(self) -> None:
        self.open_ -= 1


def run(server: Server, scenario: Callable[[ConnectionPool], Coroutine[Any, Any, None]]) -> None:
    with worker_pool(4) as pool:
        run_virtually(scenario(ConnectionPool(cast(Target, server), pool, 4)), VirtualClock())


async def at_once(connections: ConnectionPool, tables: int) -> int:
    """Return how many tables worked at the same time."""
    working = most = 0

    async def table() -> None:
        nonlocal working, most
        async with connections.acquire():
            working += 1
            most = max(most, working)
            await asyncio.sleep(60)
            working -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(tables):
            group.create_task(table())
    return most


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (3, 3), (9, 4)])
def test_no_more_connections_than_the_server_allows(limit: int, expected: int) -> None:
    server = Server(limit)

    async def scenario(connections: ConnectionPool) -> None:
        assert await at_once(connections, 12) == expected
        assert server.opened == expected
        assert await at_once(connections, 12) == expected, "no slot was lost"
        await connections.close()
        assert server.open_ == 0

    run(server, scenario)


def test_a_server_that_allows_no_connection() -> None:
    server = Server(0)

    async def scenario(connections: ConnectionPool) -> None:
        for _ in range(9):
            with pytest.raises(TargetBusyError):
                async with connections.acquire():
                    pass
        server.limit = 4
        assert await at_once(connections, 12) == 4

    run(server, scenario)


@pytest.mark.parametrize(("error", "left"), [(TargetError, 2), (TargetUnreachableError, 0)])
def test_an_unreachable_server_closes_idle_connections(error: type[TargetError], left: int) -> None:
    server = Server()

    async def scenario(connections: ConnectionPool) -> None:
        await at_once(connections, 3)
        with pytest.raises(error):
            async with connections.acquire():
                raise error("x")
        assert server.open_ == left
        assert await at_once(connections, 12) == 4

    run(server, scenario)


def test_cancelling_while_a_connection_is_opened_leaks_none() -> None:
    begun, going_on = threading.Event(), threading.Event()

    class Slow(Server):
        def open(self) -> Server:
            begun.set()
            assert going_on.wait(10)
            return super().open()

    server = Slow()

    async def scenario(connections: ConnectionPool) -> None:
        task = asyncio.create_task(at_once(connections, 1))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        going_on.set()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (server.opened, server.open_) == (1, 1)
        await connections.close()
        assert server.open_ == 0

    with worker_pool(4) as pool:  # in real time: virtual time does not wait for threads
        asyncio.run(scenario(ConnectionPool(cast(Target, server), pool, 4)))
