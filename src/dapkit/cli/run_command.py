"""What commands that use the service have in common: they connect, do one thing, and stop cleanly on Ctrl-C."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from dapkit.api.connection import ServiceConnection, connect
from dapkit.cli.console import Console
from dapkit.cli.logs import HEARTBEAT
from dapkit.cli.signals import run_until_stopped
from dapkit.client.session import Session
from dapkit.config.settings import Settings
from dapkit.failures import TableFailed

T = TypeVar("T")

RUN_AGAIN = "Run the command again."
RESUME = "Run the same command again: it resumes where it stopped."


class Outcome(Protocol):
    """The result of a run."""

    @property
    def failed(self) -> tuple[TableFailed, ...]:
        """The tables that failed."""


Result = TypeVar("Result", bound=Outcome)


def run_connected(
    settings: Settings, console: Console, work: Callable[[Session], Awaitable[T]], *, hint: str = RUN_AGAIN
) -> T:
    """Run the work in an open session and return its result.

    `hint` says how to continue after an interruption.

    Raises:
        InterruptedRunError: a signal stopped it.
        DapError: it failed.
    """
    return _run(settings, console, lambda connection: work(connection.session), hint)


def run_offline(work: Callable[[], Coroutine[Any, Any, T]], console: Console) -> T:
    """Run work that needs no session. Raises as `run_connected`."""
    return run_until_stopped(work, hint=RUN_AGAIN, last_words=console.last_words)


def run_and_advance(settings: Settings, console: Console, work: Callable[[Session], Awaitable[Result]]) -> Result:
    """As `run_connected`; if no table failed, a sandbox's data clock moves on, so that the next run finds changes."""

    async def advancing(connection: ServiceConnection) -> Result:
        connection.check()  # before the work: an unwritable clock would repeat the same data in the next run
        result = await work(connection.session)
        if not result.failed:
            connection.advance()
        return result

    return _run(settings, console, advancing, RESUME)


def _run(settings: Settings, console: Console, work: Callable[[ServiceConnection], Awaitable[T]], hint: str) -> T:
    async def connected() -> T:
        for notice in settings.notices:
            console.notice(notice)
        async with _regular_reports(console), connect(settings.connection, console.on_event) as connection:
            return await work(connection)

    return run_until_stopped(connected, hint=hint, last_words=console.last_words)


@asynccontextmanager
async def _regular_reports(console: Console) -> AsyncIterator[None]:
    """Log the progress regularly, because a run may wait for minutes without an event."""

    async def report() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            console.report_progress()

    task = asyncio.create_task(report())
    try:
        yield
    finally:
        task.cancel()
