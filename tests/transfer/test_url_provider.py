"""Signed URLs: in batches, shared by downloads that start together, and renewed when they are too old or rejected."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from tests.support.fake_service import FakeService, as_session
from tests.support.virtual_time import VirtualClock, run_virtually

from dapkit.errors import UnexpectedResponseError
from dapkit.transfer.url_provider import SIGN_AT_ONCE, URL_LIFETIME, UrlProvider

OBJECTS = [str(number) for number in range(50)]


@dataclass
class Signing(FakeService):
    """Signs all requested objects, and records the batches."""

    batches: list[list[str]] = field(default_factory=list)

    async def sign(self, object_ids: Sequence[str]) -> dict[str, str]:
        self.batches.append(list(object_ids))
        await self.clock.sleep(1.0)
        return {each: f"https://store.example/{each}?{len(self.batches)}" for each in object_ids if each != "unsigned"}


@pytest.fixture
def service() -> Signing:
    return Signing(clock=VirtualClock(), tables_objects={})


def test_downloads_that_start_together_share_one_request(service: Signing) -> None:
    urls = UrlProvider(as_session(service), OBJECTS)

    async def scenario() -> list[str]:
        return await asyncio.gather(*(urls.url(each) for each in OBJECTS[:8]))

    assert run_virtually(scenario(), service.clock) == [f"https://store.example/{each}?1" for each in OBJECTS[:8]]
    assert service.batches == [OBJECTS[:SIGN_AT_ONCE]]


def test_a_url_is_renewed_when_it_is_invalidated_or_too_old(service: Signing) -> None:
    urls = UrlProvider(as_session(service), OBJECTS[:3])

    async def scenario() -> list[str]:
        first = await urls.url("0")
        urls.invalidate("0")
        second = await urls.url("0")
        again = await urls.url("0")
        await service.clock.sleep(URL_LIFETIME + 1)
        return [first, second, again, await urls.url("0")]

    assert [url[-1] for url in run_virtually(scenario(), service.clock)] == ["1", "2", "2", "3"]
    assert service.batches == [["0", "1", "2"], ["0"], ["0", "1", "2"]]


def test_complete_objects_need_no_url(service: Signing) -> None:
    urls = UrlProvider(as_session(service), OBJECTS[:3])
    urls.remove("1")
    run_virtually(urls.url("0"), service.clock)
    assert service.batches == [["0", "2"]]


def test_a_missing_url_is_an_error(service: Signing) -> None:
    urls = UrlProvider(as_session(service), ["0", "unsigned"])
    with pytest.raises(UnexpectedResponseError, match="no URL for object unsigned"):
        run_virtually(urls.url("0"), service.clock)
