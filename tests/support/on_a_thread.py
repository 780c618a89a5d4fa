"""A TCP server in its own thread, for tests whose command runs in another process."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def served(serve: Serve) -> Iterator[int]:
    """Serve connections on a free port until the block ends; yield the port."""
    ports: list[int] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()
    connections: set[asyncio.Task[None]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await serve(reader, writer)
        finally:
            connections.discard(task)
            writer.transport.abort()
            await asyncio.sleep(0)  # the transport closes its socket at the loop's next turn

    async def main() -> None:
        async with await asyncio.start_server(tracked, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await done.wait()
            for task in (open_tasks := list(connections)):
                task.cancel()
            await asyncio.gather(*open_tasks, return_exceptions=True)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
