"""No `repr`, text, exception or traceback of an object of ours shows a secret or the environment.

Notebooks, pytest, error trackers and rich show the `repr` of attributes and of the local variables of a traceback.
"""

import asyncio
import dataclasses
import importlib
import inspect
import os
import pkgutil
import pprint
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from rich.pretty import pretty_repr

import dapkit
from dapkit import Client, ClientOptions, ExportOptions, SyncOptions
from dapkit.api.connection import session_options
from dapkit.api.requests import sync_request
from dapkit.client.credentials import Credentials, read_credentials
from dapkit.client.http import AiohttpTransport, HttpRequest, HttpResponse, Proxy, proxy_for
from dapkit.client.session import Session, SessionOptions, normalize_base_url
from dapkit.config.settings import connection_settings, database_url, library_settings, read_settings
from dapkit.errors import DapError, StalledError
from dapkit.protocol import messages
from dapkit.protocol.messages import TokenResponse
from dapkit.protocol.secrets import Address, Environment, Secret
from dapkit.protocol.token import Token
from dapkit.results import SyncCommand
from dapkit.targets.registry import target_of
from dapkit.transfer.url_provider import SignedUrl

HUSH = "hush-9f3a"
SIGNED = f"https://store.example/part-0.gz?X-Amz-Signature={HUSH}&X-Amz-Credential={HUSH}"
ENVIRON = {
    "DAP_CLIENT_ID": "region#1",
    "DAP_CLIENT_SECRET": HUSH,
    "DAP_CONNECTION_STRING": f"postgresql://me:{HUSH}@127.0.0.1:1/college",
    "DAP_DATABASE_PASSWORD": HUSH,
    "HTTPS_PROXY": f"http://me:{HUSH}@proxy.example:3128",
    "OTHER_PASSWORD": HUSH,
}
DATABASES = [
    f"postgresql://me:{HUSH}@127.0.0.1:1/college",
    f"postgresql://127.0.0.1:1/college?user=me&password={HUSH}&sslpassword={HUSH}",
    f"mysql://me:{HUSH}@127.0.0.1:1/college",
    f"mssql://me:{HUSH}@127.0.0.1:1/college",
]

HOLDERS: dict[str, Callable[[], object]] = {
    "ClientOptions": lambda: ClientOptions(client_secret=HUSH, base_url=f"https://me:{HUSH}@host"),
    "resolved options": lambda: connection_settings(ClientOptions(client_secret=HUSH), ENVIRON),
    "options from the environment": lambda: library_settings(ClientOptions(), ENVIRON),
    "Settings": lambda: read_settings({}, ENVIRON),
    "Client": lambda: Client(ClientOptions(client_secret=HUSH)),
    "AsyncClient": lambda: dapkit.AsyncClient(ClientOptions(client_secret=HUSH)),
    "SessionOptions": lambda: session_options(connection_settings(ClientOptions(), ENVIRON), None),
    "Session": lambda: Session(session_options(connection_settings(ClientOptions(), ENVIRON), None)),
    "Credentials": lambda: Credentials("region#1", HUSH),
    "Token": lambda: Token(text=HUSH, expires_at=1.0, renew_at=1.0),
    "TokenResponse": lambda: TokenResponse(access_token=HUSH, expires_in=1.0),
    "HttpRequest": lambda: HttpRequest(method="GET", url=SIGNED, headers={"Authorization": HUSH}, body=HUSH.encode()),
    "HttpResponse": lambda: HttpResponse(status=200, headers={"Location": SIGNED}, body=HUSH.encode()),
    "Proxy": lambda: Proxy("http://proxy", {"Proxy-Authorization": HUSH}),
    "signed URLs": lambda: messages.decode_urls(msgspec.json.encode({"urls": {"a": {"url": SIGNED}}}), ["a"]),
    "SignedUrl": lambda: SignedUrl(Address(SIGNED), 0.0),
    "database URL": lambda: database_url(None, ENVIRON),
    "database URL of parts": lambda: database_url(
        None, {"DAP_DATABASE_HOST": "h", "DAP_DATABASE_NAME": "n", "DAP_DATABASE_PASSWORD": HUSH}
    ),
    "Environment": lambda: Environment(ENVIRON),
    **{f"Target {number}": lambda url=url: target_of(url) for number, url in enumerate(DATABASES)},  # type: ignore[misc]
    **{
        f"SyncRequest {number}": lambda url=url: sync_request(  # type: ignore[misc]
            SyncCommand.SYNC, "canvas", "users", url, SyncOptions(stage="stage"), retry_timeout=1.0
        )
        for number, url in enumerate(DATABASES)
    },
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_objects_do_not_show_what_they_hold(holder: str) -> None:
    value = HOLDERS[holder]()
    shown = [repr(value), repr([value]), pprint.pformat(value), pretty_repr(value)]
    if not isinstance(value, str):
        shown += [str(value), f"{value}"]
    assert [text for text in shown if HUSH in text] == []


def test_secrets_can_be_used_like_any_text() -> None:
    assert Secret(HUSH) == HUSH == f"{Secret(HUSH)}"
    assert str(Address(SIGNED)) == SIGNED == Address(SIGNED)
    assert repr(Address("duckdb:college.duckdb")) == "'duckdb:college.duckdb'"
    assert dict(Environment(ENVIRON)) == ENVIRON
    blank = Environment({"DAP_STAGE": "", "DAP_TRACKING": " ", "DAP_SCOPE": "x"})
    assert (dict(blank), len(blank), blank.get("DAP_STAGE", "unset")) == ({"DAP_SCOPE": "x"}, 1, "unset")
    assert read_credentials("region#1", HUSH, None).client_secret == HUSH


SECRETIVE = {
    "password", "secret", "client_secret", "access_token", "token", "headers", "body", "url", "base_url", "parameters",
    "keywords", "credentials", "proxy", "environ",
}  # fmt: skip
"""Names of attributes that hold a secret, or may hold one."""

HARMLESS = {
    "ApiCall.body": "a query, the ids of objects, or the grant type of a login",
    "SessionOptions.credentials": "its own `repr` hides the secret",
    "SessionOptions.base_url": "an Address",
    "Proxy.url": "the credentials are in the headers",
    "SignedUrl.url": "an Address",
    "_Resource.url": "exists only while a response is decoded",
    "_Login.access_token": "exists only while a response is decoded",
}


def classes() -> list[type]:
    found: set[type] = set()
    for module in pkgutil.walk_packages(dapkit.__path__, "dapkit."):
        if not module.name.startswith(("dapkit.sandbox", "dapkit.__main__", "dapkit.targets.mssql.driver")):
            members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
            found |= {each for _, each in members if each.__module__.startswith("dapkit.")}
    return sorted(found, key=lambda each: f"{each.__module__}.{each.__qualname__}")


def test_no_class_shows_an_attribute_that_may_be_secret() -> None:
    """A new class with such an attribute hides it, or says here why it may be shown."""
    wrong, checked = [], 0
    for each in classes():
        # The `repr` that a dataclass makes is a wrapper; a class that has one of its own decides what it shows.
        if dataclasses.is_dataclass(each) and hasattr(each.__repr__, "__wrapped__"):
            checked += 1
            names = {field.name for field in dataclasses.fields(each) if field.repr}
        elif issubclass(each, msgspec.Struct):
            names = {field.name for field in msgspec.structs.fields(each)}
        else:
            continue
        wrong += [f"{each.__name__}.{name}" for name in sorted(names & SECRETIVE)]
    shown_as_address = {"ClientOptions.base_url", "HttpRequest.url"}
    assert checked > 80
    assert sorted(set(wrong) - HARMLESS.keys() - shown_as_address) == []


def test_every_public_class_is_among_them() -> None:
    public = {getattr(dapkit, name) for name in dapkit.__all__}
    assert {each for each in public if inspect.isclass(each)} <= set(classes())


def in_traceback(error: BaseException) -> str:
    """Return what an error tracker sees: the message, and the local variables of each function of ours."""
    lines = []
    seen: BaseException | None = error
    while seen is not None:
        lines += traceback.format_exception_only(seen)
        if isinstance(seen, DapError):
            lines.append(repr(seen.as_dict()) + repr(seen) + seen.hint)
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            if "dapkit" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
                lines += [f"{frame.f_code.co_name}: {name} = {value!r}" for name, value in frame.f_locals.items()]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(lines)


async def open_in(options: ClientOptions) -> None:
    async with dapkit.AsyncClient(options) as dap:
        await dap.tables("canvas")


def sync_into(url: str) -> None:
    with Client(ClientOptions(sandbox=True, sandbox_scale=0.05, retry_timeout=0)) as dap:
        dap.sync("catalog", "users", url, SyncOptions(stage="stage"))


FAILURES: dict[str, Callable[[], object]] = {
    "an invalid variable": lambda: Client(ClientOptions(pace="fast")).open(),
    "an invalid option": lambda: ClientOptions(client_secret=HUSH, retry_timeout="x"),  # type: ignore[arg-type]
    "an invalid secret": lambda: Client(ClientOptions(client_id="a", client_secret=f"{HUSH} “”")).open(),
    "a secret that is no text": lambda: ClientOptions(client_secret=HUSH.encode()),  # type: ignore[arg-type]
    "a client id with a colon": lambda: Credentials("a:b", HUSH),
    "a base URL with credentials": lambda: asyncio.run(open_in(ClientOptions(base_url=f"https://me:{HUSH}@host"))),
    "no base URL": lambda: normalize_base_url(f"https://me:{HUSH}@ho st"),
    "a service that cannot be reached": lambda: asyncio.run(
        open_in(ClientOptions(base_url="http://127.0.0.1:1", retry_timeout=0))
    ),
    "an invalid proxy": lambda: proxy_for("https://host"),
    "no kind of database": lambda: target_of(f"oracle://me:{HUSH}@host/college"),
    "no database URL": lambda: target_of(f"me:{HUSH}@host/college"),
    "a password that is not escaped": lambda: target_of(f"postgresql://me:{HUSH}@@host/college"),
    "a port that is none": lambda: target_of(f"mysql://me:{HUSH}@host:port/college"),
    "an unknown option of a database": lambda: target_of(f"mysql://me:{HUSH}@host/college?password={HUSH}"),
    "no database in the URL": lambda: target_of(f"mssql://me:{HUSH}@host"),
    "a wrong argument": lambda: Client(ClientOptions(sandbox=True)).listdb("", f"mysql://me:{HUSH}@host/college"),
    "a token that is none": lambda: TokenResponses(b'{"access_token": "' + HUSH.encode() + b' \\u20ac"}').log_in(),
    "a login that is no JSON": lambda: TokenResponses(b'{"access_token": "' + HUSH.encode()).log_in(),
    "an object that cannot be read": lambda: asyncio.run(read_object(SIGNED.replace("store.example", "127.0.0.1:1"))),
    "a PostgreSQL server that cannot be reached": lambda: sync_into(DATABASES[0]),
    "a PostgreSQL server with parameters": lambda: sync_into(DATABASES[1]),
    "a MySQL server that cannot be reached": lambda: sync_into(DATABASES[2]),
}


async def read_object(url: str) -> None:
    async with dapkit.AsyncClient(ClientOptions(sandbox=True, sandbox_scale=0.05)) as dap:
        async for _ in dap.read(url.replace("https", "http")):
            pass


class TokenResponses:
    """A service that answers every request with this body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def log_in(self) -> None:
        async def call() -> None:
            options = SessionOptions(base_url="https://host", credentials=Credentials("region#1", "hush-0000"))
            await Session(options, transport=self).tables("canvas")  # type: ignore[arg-type]

        asyncio.run(call())

    async def send(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, headers={}, body=self._body)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("failure", FAILURES)
def test_errors_and_their_tracebacks_show_no_secret(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    if "proxy" in failure:
        monkeypatch.setenv("HTTPS_PROXY", f"ftp://me:{HUSH}@proxy.example")
    else:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DapError) as caught:
        FAILURES[failure]()
    shown = in_traceback(caught.value)
    assert [line for line in shown.splitlines() if HUSH in line] == []


def test_the_error_of_a_failed_table_does_not_show_its_signed_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error may keep the traceback of the download, whose local variables have the URL."""
    signatures: list[str] = []
    stream = AiohttpTransport.stream

    def break_downloads(self: AiohttpTransport, request: HttpRequest) -> Any:
        query = urlsplit(request.url).query
        if "127.0.0.1" in request.url and query and "/dap/" not in request.url:
            signatures.append(query)
            raise StalledError("The store stopped sending data")
        return stream(self, request)

    monkeypatch.setattr(AiohttpTransport, "stream", break_downloads)
    with Client(ClientOptions(sandbox=True, sandbox_scale=0.05, retry_timeout=0)) as dap:
        result = dap.snapshot("catalog", "users", ExportOptions(output=tmp_path))
    assert signatures
    with pytest.raises(StalledError) as caught:
        result.raise_for_failed()
    shown = in_traceback(caught.value)
    assert [signature for signature in signatures if signature in shown] == []
