"""No secret reaches a log or an error, even if the service echoes it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.replies import reply

from dapkit import errors
from dapkit.client.session import Session
from dapkit.errors import DapError
from dapkit.model import Format, Query

Reply = Any
Retries = list[tuple[DapError, float, str | None]]
Make = Callable[..., Session]
QUERY = Query(format=Format.JSONL)


def test_no_secret_reaches_a_log_or_an_error(
    use: Any,
    service: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    retries: Retries,
) -> None:
    """Even if the service echoes them."""
    echo = (
        b"s3cr3t-value was sent with Bearer token-1 and Basic dXMtZWFzdC0xI2FiYzpzM2NyM3QtdmFsdWU= for https://s/?sig=x"
    )
    # a command that ran before in this process may have taken the logger over
    monkeypatch.setattr(logging.getLogger("dapkit"), "propagate", True)
    caplog.set_level(logging.DEBUG, logger="dapkit")
    service.login = lambda _: reply(200, {"access_token": "token-very-secret", "expires_in": 3600})
    service.answers = [reply(500, echo), reply(200, echo), reply(400, {"error": {"message": echo.decode()}})]
    with pytest.raises(errors.RequestError) as caught:
        use(lambda session: session.tables("canvas"))
    shown = caplog.text + str(caught.value.as_dict()) + str([error.as_dict() for error, _, _ in retries])
    assert "failed" in caplog.text
    for secret in ("token-very-secret", "token-1", "dXMtZWFzdC0x", "s3cr3t-value", "sig=x"):
        assert secret not in shown


@pytest.mark.parametrize("echo", ["s3cr3t-value", "token-very-secret", "dXMtZWFzdC0xI2FiYzpzM2NyM3QtdmFsdWU="])
def test_a_failed_job_does_not_echo_a_secret(echo: str, use: Any, service: Any) -> None:
    error = {"type": f"Odd\x1b[2J {echo}", "uuid": f"u {echo}\x07", "message": f"because {echo} is bad"}
    cut = {"type": "Odd", "message": "x" * (499 - len(echo) // 2) + echo}
    service.login = lambda _: reply(200, {"access_token": "token-very-secret", "expires_in": 3600})
    service.answers = [
        reply(202, {"id": "j", "status": "failed", "error": error}),
        reply(200, {"id": "j", "status": "failed", "error": error}),
        reply(200, {"id": "j", "status": "failed", "error": cut}),
    ]

    async def work(session: Session) -> None:
        for job in (await session.submit("canvas", "a", QUERY), await session.poll("j")):
            assert job.failure is not None
            assert echo not in str(job.failure)
            assert job.failure.type.isprintable()
            assert job.failure.type.startswith("Odd")
            assert (job.failure.uuid or "").isprintable()
            assert job.failure.message == "because [hidden] is bad"
        shortened = (await session.poll("j")).failure
        assert shortened is not None
        assert echo[:5] not in shortened.message

    use(work)


def test_the_uuid_of_an_error_does_not_echo_a_secret(use: Any, service: Any) -> None:
    service.answers = [reply(400, {"error": {"type": "x", "message": "no", "uuid": "s3cr3t-value"}})]
    with pytest.raises(errors.RequestError) as caught:
        use(lambda session: session.tables("canvas"))
    assert caught.value.uuid == "[hidden]"
