"""One login at a time, whoever needs it."""

import asyncio

import pytest
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.token_provider import TokenProvider
from dapkit.errors import ServerError
from dapkit.protocol.messages import TokenResponse
from dapkit.protocol.token import Token, token_of


class Logins:
    """Counts logins, each of which takes ten seconds; those that are to fail do."""

    def __init__(self, clock: VirtualClock, *, life: float = 3600.0, failing: int = 0) -> None:
        self.clock = clock
        self.life = life
        self.failing = failing
        self.count = 0

    async def __call__(self) -> Token:
        self.count += 1
        number, asked_at = self.count, self.clock.now()
        await self.clock.sleep(10)
        if number <= self.failing:
            raise ServerError("down")
        return token_of(TokenResponse(access_token=f"token-{number}", expires_in=self.life), asked_at=asked_at)


def test_all_who_wait_share_one_login(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> list[str]:
        keeper = TokenProvider(logins, clock)
        return [token.text for token in await asyncio.gather(*(keeper.current() for _ in range(20)))]

    assert run_virtually(work(), clock) == ["token-1"] * 20
    assert logins.count == 1


def test_a_token_is_kept_until_it_is_stale(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> list[str]:
        keeper = TokenProvider(logins, clock)
        texts = []
        for pause in (0, 3280, 20):
            await clock.sleep(pause)
            texts.append((await keeper.current()).text)
        return texts

    assert run_virtually(work(), clock) == ["token-1", "token-1", "token-2"]


def test_only_the_token_in_use_can_be_rejected(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> list[str]:
        keeper = TokenProvider(logins, clock)
        first = await keeper.current()
        keeper.reject(first)
        second = await keeper.current()
        keeper.reject(first)
        return [first.text, second.text, (await keeper.current()).text]

    assert run_virtually(work(), clock) == ["token-1", "token-2", "token-2"]


def test_a_failed_login_fails_all_who_waited_and_the_next_one_is_new(clock: VirtualClock) -> None:
    logins = Logins(clock, failing=1)

    async def work() -> str:
        keeper = TokenProvider(logins, clock)
        outcomes = await asyncio.gather(*(keeper.current() for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ServerError] * 3
        return (await keeper.current()).text

    assert run_virtually(work(), clock) == "token-2"


def test_who_gives_up_does_not_end_the_login_of_the_others(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> str:
        keeper = TokenProvider(logins, clock)
        first = asyncio.ensure_future(keeper.current())
        second = asyncio.ensure_future(keeper.current())
        await clock.sleep(1)
        first.cancel()
        return (await second).text

    assert run_virtually(work(), clock) == "token-1"


@pytest.mark.parametrize("failing", [0, 1])
def test_closing_ends_a_login_that_nobody_waits_for(clock: VirtualClock, failing: int) -> None:
    logins = Logins(clock, failing=failing)

    async def work() -> float:
        keeper = TokenProvider(logins, clock)
        waiting = asyncio.ensure_future(keeper.current())
        await clock.sleep(1)
        waiting.cancel()
        await keeper.close()
        return clock.elapsed

    assert run_virtually(work(), clock) == 1
