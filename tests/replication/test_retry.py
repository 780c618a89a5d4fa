"""How long work waits for its database: a table of cases for the decision, virtual time for the waiting."""

import pytest
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    DapError,
    TargetBusyError,
    TargetError,
    TargetRejectedError,
    TargetUnreachableError,
)
from dapkit.events import Event, Retrying
from dapkit.replication.retry import START, TargetRetry, may_pass

AWAY = TargetUnreachableError("The server is away")


@pytest.mark.parametrize(
    ("error", "at_start", "later"),
    [
        (TargetUnreachableError, True, True),
        (TargetRejectedError, False, True),
        (TargetBusyError, True, True),
        (BadValueError, False, False),
        (TargetError, False, False),
    ],
)
def test_what_may_pass(error: type[TargetError], at_start: bool, later: bool) -> None:
    for tried in (False, True):
        assert may_pass(error("x"), start=True, tried=tried) is at_start
        assert may_pass(error("x"), start=False, tried=tried) is later


def test_somebody_who_was_quicker_may_be_our_own_lost_connection() -> None:
    assert may_pass(ConcurrentUpdateError("x"), start=False, tried=True)
    assert not may_pass(ConcurrentUpdateError("x"), start=False, tried=False)


class Server:
    """A database that fails in these ways, one after another, then stands."""

    def __init__(self, *failures: DapError, for_seconds: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.heard: list[Event] = []
        self._failures = list(failures)
        self._until = self.clock.now() + for_seconds

    def run_in_session(self, retry_timeout: float, *, start: bool = False) -> list[bool]:
        """Return what each attempt was told of those before it."""
        attempts: list[bool] = []

        async def work(again: bool) -> list[bool]:
            attempts.append(again)
            if self._failures:
                raise self._failures.pop(0)
            if self.clock.now() < self._until:
                raise AWAY
            return attempts

        endurance = TargetRetry(self.clock, retry_timeout, self.heard.append)
        return run_virtually(endurance.run(work, "users", start=start), self.clock)


def test_the_next_attempt_knows_that_there_was_one() -> None:
    server = Server(AWAY, AWAY)
    assert server.run_in_session(900) == [False, True, True]
    assert [(event.table, event.error) for event in server.heard if isinstance(event, Retrying)] == [
        ("users", AWAY)
    ] * 2


def test_a_restart_of_ten_minutes_is_outlasted() -> None:
    server = Server(for_seconds=600)
    server.run_in_session(900)
    assert 600 <= server.clock.elapsed < 660
    assert len(server.heard) <= 32


@pytest.mark.parametrize(("retry_timeout", "start", "seconds"), [(900, False, 900), (900, True, START), (0, False, 0)])
def test_a_server_that_never_comes_back(retry_timeout: float, start: bool, seconds: float) -> None:
    server = Server(for_seconds=1e6)
    with pytest.raises(TargetUnreachableError):
        server.run_in_session(retry_timeout, start=start)
    assert server.clock.elapsed == pytest.approx(seconds)
    assert len(server.heard) <= 45, "nobody reads more"


def test_patience_counts_from_the_first_failure() -> None:
    server = Server(AWAY)

    async def work(again: bool) -> None:
        if again:
            await server.clock.sleep(7200)
        raise AWAY

    with pytest.raises(TargetUnreachableError):
        run_virtually(TargetRetry(server.clock, 900, server.heard.append).run(work), server.clock)
    assert len(server.heard) == 1


def test_what_will_not_pass_is_raised_at_once() -> None:
    server = Server(AWAY, BadValueError("x"))
    with pytest.raises(BadValueError):
        server.run_in_session(900)
    assert len(server.heard) == 1
