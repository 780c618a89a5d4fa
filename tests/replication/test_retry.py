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
from dapkit.replication.retry import INITIAL_TIMEOUT, TargetRetry, is_temporary

AWAY = TargetUnreachableError("The server is away")


@pytest.mark.parametrize(
    ("error", "initially", "later"),
    [
        (TargetUnreachableError, True, True),
        (TargetRejectedError, False, True),
        (TargetBusyError, True, True),
        (BadValueError, False, False),
        (TargetError, False, False),
    ],
)
def test_which_failures_are_temporary(error: type[TargetError], initially: bool, later: bool) -> None:
    for retried in (False, True):
        assert is_temporary(error("x"), initial=True, retried=retried) is initially
        assert is_temporary(error("x"), initial=False, retried=retried) is later


def test_a_concurrent_update_after_a_failure_may_be_our_own_commit() -> None:
    assert is_temporary(ConcurrentUpdateError("x"), initial=False, retried=True)
    assert not is_temporary(ConcurrentUpdateError("x"), initial=False, retried=False)


class Server:
    """A database that fails in these ways, one after another, and then works."""

    def __init__(self, *failures: DapError, for_seconds: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.events: list[Event] = []
        self._failures = list(failures)
        self._until = self.clock.now() + for_seconds

    def run_in_session(self, retry_timeout: float, *, initial: bool = False) -> list[bool]:
        """Return what each attempt knew about the earlier ones."""
        attempts: list[bool] = []

        async def work(retried: bool) -> list[bool]:
            attempts.append(retried)
            if self._failures:
                raise self._failures.pop(0)
            if self.clock.now() < self._until:
                raise AWAY
            return attempts

        retry = TargetRetry(self.clock, retry_timeout, self.events.append)
        return run_virtually(retry.run(work, "users", initial=initial), self.clock)


def test_the_next_attempt_knows_that_there_was_one() -> None:
    server = Server(AWAY, AWAY)
    assert server.run_in_session(900) == [False, True, True]
    assert [(event.table, event.error) for event in server.events if isinstance(event, Retrying)] == [
        ("users", AWAY)
    ] * 2


def test_a_restart_of_ten_minutes_is_survived() -> None:
    server = Server(for_seconds=600)
    server.run_in_session(900)
    assert 600 <= server.clock.elapsed < 660
    assert len(server.events) <= 32


@pytest.mark.parametrize(
    ("retry_timeout", "initial", "seconds"), [(900, False, 900), (900, True, INITIAL_TIMEOUT), (0, False, 0)]
)
def test_a_server_that_never_comes_back(retry_timeout: float, initial: bool, seconds: float) -> None:
    server = Server(for_seconds=1e6)
    with pytest.raises(TargetUnreachableError):
        server.run_in_session(retry_timeout, initial=initial)
    assert server.clock.elapsed == pytest.approx(seconds)
    assert len(server.events) <= 45, "more events would only fill the log"


def test_the_retry_timeout_counts_from_the_first_failure() -> None:
    server = Server(AWAY)

    async def work(retried: bool) -> None:
        if retried:
            await server.clock.sleep(7200)
        raise AWAY

    with pytest.raises(TargetUnreachableError):
        run_virtually(TargetRetry(server.clock, 900, server.events.append).run(work), server.clock)
    assert len(server.events) == 1


def test_a_permanent_failure_is_raised_at_once() -> None:
    server = Server(AWAY, BadValueError("x"))
    with pytest.raises(BadValueError):
        server.run_in_session(900)
    assert len(server.events) == 1
