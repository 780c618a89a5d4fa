"""All requests share one login at a time."""

import asyncio

import pytest
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.client.token_provider import TokenProvider
from dapkit.errors import ServerError
from dapkit.protocol.messages import TokenResponse
from dapkit.protocol.token import Token, token_from_response


class Logins:
    """Counts logins, each of which takes ten seconds; chosen ones fail."""

    def __init__(self, clock: VirtualClock, *, life: float = 3600.0, failing: int = 0) -> None:
        self.clock = clock
        self.life = life
        self.failing = failing
        self.count = 0

    async def __call__(self) -> Token:
        self.count += 1
        number, requested_at = self.count, self.clock.now()
        await self.clock.sleep(10)
        if number <= self.failing:
            raise ServerError("down")
        return token_from_response(
            TokenResponse(access_token=f"token-{number}", expires_in=self.life), requested_at=requested_at
        )


def test_concurrent_requests_share_one_login(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> list[str]:
        tokens = TokenProvider(logins, clock)
        return [token.text for token in await asyncio.gather(*(tokens.current() for _ in range(20)))]

    assert run_virtually(work(), clock) == ["token-1"] * 20
    assert logins.count == 1


def test_a_token_is_kept_until_it_is_stale(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> list[str]:
        tokens = TokenProvider(logins, clock)
        texts = []
        for pause in (0, 3280, 20):
            await clock.sleep(pause)
            texts.append((await tokens.current()).text)
        return texts

    assert run_virtually(work(), clock) == ["token-1", "token-1", "token-2"]


def test_only_the_current_token_is_discarded(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> list[str]:
        tokens = TokenProvider(logins, clock)
        first = await tokens.current()
        tokens.discard(first)
        second = await tokens.current()
        tokens.discard(first)
        return [first.text, second.text, (await tokens.current()).text]

    assert run_virtually(work(), clock) == ["token-1", "token-2", "token-2"]


def test_a_failed_login_fails_all_requests_that_waited_for_it(clock: VirtualClock) -> None:
    logins = Logins(clock, failing=1)

    async def work() -> str:
        tokens = TokenProvider(logins, clock)
        outcomes = await asyncio.gather(*(tokens.current() for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ServerError] * 3
        return (await tokens.current()).text

    assert run_virtually(work(), clock) == "token-2"


def test_cancelling_one_request_does_not_cancel_the_login_of_the_others(clock: VirtualClock) -> None:
    logins = Logins(clock)

    async def work() -> str:
        tokens = TokenProvider(logins, clock)
        first = asyncio.ensure_future(tokens.current())
        second = asyncio.ensure_future(tokens.current())
        await clock.sleep(1)
        first.cancel()
        return (await second).text

    assert run_virtually(work(), clock) == "token-1"


@pytest.mark.parametrize("failing", [0, 1])
def test_closing_cancels_a_login(clock: VirtualClock, failing: int) -> None:
    logins = Logins(clock, failing=failing)

    async def work() -> float:
        tokens = TokenProvider(logins, clock)
        waiting = asyncio.ensure_future(tokens.current())
        await clock.sleep(1)
        waiting.cancel()
        await tokens.close()
        return clock.elapsed

    assert run_virtually(work(), clock) == 1
