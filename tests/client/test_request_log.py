"""What is logged about requests, at level debug."""

import logging
from typing import Any

import pytest
from tests.support.replies import TABLES, error_reply, reply

from dapkit.client.session import Session
from dapkit.errors import DapError, NetworkError


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """Return the message and the fields of each request that was logged."""
    found = [(record.getMessage(), getattr(record, "fields", {})) for record in caplog.records]
    return [(message, fields) for message, fields in found if fields.get("event") == "request"]


def test_each_request_is_logged_with_status_and_duration(
    use: Any, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service.answers = [NetworkError("The connection broke"), TABLES]
    service.latency = 0.25
    with caplog.at_level(logging.DEBUG, logger="dapkit"):
        use(lambda session: session.tables("canvas"), scope="my scope")
    login, failed, done = lines(caplog)
    assert login[0] == "POST https://dap.example/ids/auth/login: 200 in 0.250 s"
    url = "https://dap.example/dap/query/canvas/table"
    assert failed[0] == f"GET {url}: no response in 0.250 s, The connection broke"
    assert (failed[1]["status"], failed[1]["code"]) == (None, "network")
    assert done[1] == {
        "event": "request",
        "method": "GET",
        "url": url,
        "status": 200,
        "seconds": 0.25,
        "dap_table": None,
        "job_id": None,
        "code": None,
        "uuid": None,
    }
    assert "my" not in done[0], "the query of the URL"


def test_an_error_is_logged_with_its_uuid_and_without_secrets(
    use: Any, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service.answers = [error_reply(404, "NotFoundError", message="No s3cr3t-value here", uuid="u-1")]

    async def work(session: Session) -> None:
        with pytest.raises(DapError):
            await session.schema("canvas", "users")

    with caplog.at_level(logging.DEBUG, logger="dapkit"):
        use(work)
    _, (message, fields) = lines(caplog)
    assert message.endswith(", uuid u-1")
    assert (fields["uuid"], fields["status"], fields["dap_table"]) == ("u-1", 404, "users")
    assert "s3cr3t" not in caplog.text


def test_nothing_of_a_signed_url_after_its_path_is_logged(
    use: Any, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service.answers = [
        reply(307, {}, Location="https://other.example/o?X-Amz-Signature=topsecret"),
        reply(200, {}),
        NetworkError("The connection broke"),
    ]

    async def work(session: Session) -> None:
        async with session.open("https://store.example/o?X-Amz-Signature=topsecret"):
            pass
        with pytest.raises(NetworkError):
            async with session.open("https://store.example/p?X-Amz-Signature=topsecret"):
                pass

    with caplog.at_level(logging.DEBUG, logger="dapkit"):
        use(work)
    assert [message for message, _ in lines(caplog)] == [
        "GET https://store.example/o: 307 in 0.000 s",
        "GET https://other.example/o: 200 in 0.000 s",
        "GET https://store.example/p: no response in 0.000 s, The connection broke",
    ]
    assert "topsecret" not in caplog.text


def test_nothing_is_logged_above_level_debug(use: Any, service: Any, caplog: pytest.LogCaptureFixture) -> None:
    service.answers = [TABLES]
    with caplog.at_level(logging.INFO, logger="dapkit"):
        use(lambda session: session.tables("canvas"))
    assert lines(caplog) == []
