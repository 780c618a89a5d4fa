"""Bad input of every kind: an error that names the problem, its exit code, no traceback, no secret, no lost data."""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import trustme

DAP = Path(sys.executable).with_name("dap")
SECRET = "a-secret-that-must-not-show"
COURSES = ("snapshot", "--namespace", "canvas", "--table", "courses")
CHANGES = ("incremental", "--namespace", "canvas", "--table", "courses", "--since")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class WorkingFolder:
    """A folder to run the command in, and its environment."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def dap(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Outcome:
        """Run the installed command here; it must never show a traceback or the secret."""
        done = subprocess.run(
            [DAP, *arguments],
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
        return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


class Service:
    """A sandbox in its own process, whose faults can be set."""

    def __init__(self, exports: Mapping[str, str]) -> None:
        self.exports = dict(exports)
        self._opener = build_opener(ProxyHandler({}))

    def set_faults(self, *faults: str) -> None:
        """Replace all faults."""
        body = json.dumps({"faults": faults}).encode()
        url = f"{self.exports['DAP_API_URL']}/_sandbox/faults"
        request = Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
        self._opener.open(request, timeout=60).close()


@pytest.fixture
def clean(tmp_path: Path) -> WorkingFolder:
    """A folder without any configuration."""
    folder = tmp_path / "here"
    folder.mkdir()
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMPDIR", "LANG")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    state = str(tmp_path / "state")
    environ |= {"HOME": str(tmp_path), "XDG_STATE_HOME": state, "LOCALAPPDATA": state, "NO_PROXY": "*"}
    return WorkingFolder(folder, environ)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One sandbox for the tests of this file."""
    folder = tmp_path_factory.mktemp("sandbox")
    arguments = ["sandbox", "--scale", "0.05", "--job-seconds", "0"]
    environ = {**os.environ, "XDG_STATE_HOME": str(folder)}
    child = subprocess.Popen([DAP, *arguments], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines = [child.stdout.readline().removeprefix("export ").strip() for _ in range(4)]
    yield Service({name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)})
    child.kill()
    child.communicate()


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """The sandbox, without faults before and after."""
    running.set_faults()
    yield running
    running.set_faults()


@pytest.fixture
def here(clean: WorkingFolder, service: Service) -> WorkingFolder:
    """A folder whose environment points the command at the sandbox."""
    return WorkingFolder(clean.folder, {**clean.environ, **service.exports})


def assert_error(outcome: Outcome, code: int, *words: str) -> None:
    """Check the exit code, and that the error contains these words and a hint."""
    assert outcome.code == code, outcome.err
    for word in words:
        assert word in outcome.err
    assert "Error: " in outcome.err
    assert "Hint: " in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("snapshoot",), ("snapshoot", "snapshot?")),
        (("zzz",), ("zzz", "snapshot")),
        ((*COURSES, "--formatt", "csv"), ("--formatt", "--format")),
        ((*COURSES, "--format", "xml"), ("xml", "parquet")),
        (("snapshot", "--namespace", "canvas", "--table", ""), ("--table",)),
        ((*CHANGES, "2026-01-02", "--until", "2026-01-01"), ("--until",)),
        ((*CHANGES, "nowhere"), ("nowhere",)),
        ((*COURSES, "--base-url", "nonsense"), ("base URL",)),
        ((*COURSES, "--base-url", "ftp://example.org"), ("base URL",)),
        (("--sandbox", *COURSES, "--base-url", "https://example.org"), ("--sandbox",)),
        ((*COURSES, "--pace", "fast"), ("--pace",)),
    ],
)
def test_invalid_arguments(arguments: tuple[str, ...], words: tuple[str, ...], clean: WorkingFolder) -> None:
    environ = {"DAP_CLIENT_ID": "region#1", "DAP_CLIENT_SECRET": SECRET}
    assert_error(clean.dap(*arguments, environ=environ), 2, *words)
    assert list(clean.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({}, "DAP_CLIENT_ID"),
        ({"DAP_CLIENT_ID": "region#1"}, "DAP_CLIENT_SECRET"),
        ({"DAP_CLIENT_SECRET": SECRET}, "DAP_CLIENT_ID"),
    ],
)
def test_missing_credentials(environ: dict[str, str], word: str, clean: WorkingFolder) -> None:
    assert_error(clean.dap(*COURSES, environ=environ), 10, word)


def test_an_error_as_json(clean: WorkingFolder) -> None:
    for arguments in ((*COURSES, "--json"), ("--logformat", "json", *COURSES)):
        outcome = clean.dap(*arguments)
        error = json.loads(outcome.err)
        assert outcome.code == error["exit_code"] == 10
        assert (error["code"], error["retryable"]) == ("credentials-missing", False)
        assert error["hint"]


def test_a_wrong_secret(here: WorkingFolder) -> None:
    assert_error(here.dap(*COURSES, "--client-secret", SECRET), 11, "credentials")
    assert_error(here.dap("--client-secret", SECRET, "list", "--namespace", "canvas"), 11, "credentials")


def test_an_unreachable_host(here: WorkingFolder) -> None:
    outcome = here.dap(*COURSES, "--base-url", "http://127.0.0.1:1")
    assert_error(outcome, 20, "127.0.0.1")


def test_an_unknown_host(here: WorkingFolder) -> None:
    assert_error(here.dap("list", "--namespace", "canvas", "--base-url", "https://host.invalid"), 20, "host.invalid")


@contextlib.contextmanager
def tls_server(authority: trustme.CA) -> Iterator[int]:
    """Serve TLS with a certificate of this authority in another thread, and close each connection at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_an_untrusted_certificate(here: WorkingFolder) -> None:
    with tls_server(trustme.CA()) as port:
        outcome = here.dap(*COURSES, "--base-url", f"https://localhost:{port}")
    assert_error(outcome, 21, "certificate", "--ca-file")


def test_a_missing_ca_file(here: WorkingFolder) -> None:
    assert_error(here.dap(*COURSES, "--ca-file", "nowhere.pem"), 2, "nowhere.pem")


def test_one_unknown_table_of_two(here: WorkingFolder) -> None:
    outcome = here.dap("snapshot", "--namespace", "canvas", "--table", "courses,usres", "--json")
    made = json.loads(outcome.out)
    assert outcome.code == made["exit_code"] == 3
    assert [table["table"] for table in made["tables"]] == ["courses"]
    (failure,) = made["failed"]
    assert (failure["table"], failure["code"]) == ("usres", "table-not-found")
    assert "users" in failure["hint"]
    assert here.dap("verify", "downloads").code == 0


def test_an_unknown_table(here: WorkingFolder) -> None:
    outcome = here.dap("snapshot", "--namespace", "canvas", "--table", "usres")
    assert_error(outcome, 30, "usres", "users")


@pytest.mark.parametrize(
    ("fault", "code", "word"), [("out-of-range", 32, "since"), ("snapshot-required", 33, "snapshot")]
)
def test_an_increment_that_the_service_rejects(
    fault: str, code: int, word: str, here: WorkingFolder, service: Service
) -> None:
    service.set_faults(fault)
    assert_error(here.dap(*CHANGES, "2026-01-01T00:00:00Z"), code, word)


def test_an_increment_from_before_the_first_data(here: WorkingFolder) -> None:
    assert_error(here.dap(*CHANGES, "1999-01-01T00:00:00Z"), 32)


@pytest.mark.parametrize(
    ("fault", "code"), [("account-disabled", 12), ("account-not-onboarded", 13), ("account-maintenance", 14)]
)
def test_accounts_without_access(fault: str, code: int, here: WorkingFolder, service: Service) -> None:
    service.set_faults(fault)
    outcome = here.dap("snapshot", "--namespace", "canvas", "--table", "all")
    assert_error(outcome, code, "uuid for support: ")


def test_an_output_directory_that_is_a_file(here: WorkingFolder) -> None:
    (here.folder / "out").write_text("mine")
    assert_error(here.dap(*COURSES, "--output-directory", "out"), 42, "out")
    assert (here.folder / "out").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root may write to")
def test_an_output_directory_that_is_not_writable(here: WorkingFolder) -> None:
    assert_error(here.dap(*COURSES, "--output-directory", "/proc/dapkit"), 42, "/proc/dapkit")


@pytest.fixture
def full_disk(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python believes that the disk is almost full."""
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import shutil
            from collections import namedtuple
            Usage = namedtuple("Usage", "total used free")
            shutil.disk_usage = lambda path: Usage(10**12, 10**12 - 100, 100)
        """)
    )
    return {"PYTHONPATH": str(folder)}


def test_a_full_disk(here: WorkingFolder, full_disk: dict[str, str]) -> None:
    assert_error(here.dap(*COURSES, environ=full_disk), 43, "free")
    assert list(here.folder.glob("downloads/job_*/part-*")) == []
    assert here.dap(*COURSES).code == 0
    assert here.dap("verify", "downloads").code == 0


def complete_snapshot(here: WorkingFolder) -> Path:
    """Take a snapshot and return the folder of its job."""
    assert here.dap(*COURSES).code == 0
    (job,) = here.folder.glob("downloads/job_*")
    return job


def test_a_corrupt_journal(here: WorkingFolder) -> None:
    job = complete_snapshot(here)
    files = {path.name: path.read_bytes() for path in job.iterdir()}
    (journal,) = here.folder.glob("downloads/.dap/runs/*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"\x00nonsense\n" + b"".join(lines[1:]))
    assert_error(here.dap(*COURSES), 44, "--new")
    assert here.dap(*COURSES, "--new").code == 0
    assert {path.name: path.read_bytes() for path in job.iterdir()}.items() >= {
        name: content for name, content in files.items() if not name.startswith(".")
    }.items()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b'{"version": 99}'])
def test_a_corrupt_manifest(content: bytes, here: WorkingFolder) -> None:
    job = complete_snapshot(here)
    (job / ".manifest.json").write_bytes(content)
    outcome = here.dap("verify", "downloads")
    assert outcome.code == 46
    assert ".manifest.json" in outcome.out
    (part,) = job.glob("part-*")
    assert part.stat().st_size > 0


@pytest.mark.parametrize(("fault", "word"), [("html@login", "JSON"), ("redirect@list", "localhost")])
def test_invalid_responses(fault: str, word: str, here: WorkingFolder, service: Service) -> None:
    service.set_faults(fault)
    assert_error(here.dap("list", "--namespace", "canvas"), 25, word)


def test_a_temporary_web_page_is_reported_and_retried(here: WorkingFolder, service: Service) -> None:
    service.set_faults("html:x1@list")
    outcome = here.dap("list", "--namespace", "canvas")
    assert outcome.code == 0
    assert "courses" in outcome.out.splitlines()
    assert "<html>" in outcome.err


@pytest.mark.parametrize(
    ("name", "value"), [("DAP_TRACKING", "maybe"), ("DAP_PACE", "x"), ("DAP_CONSOLE_THEME", "pink")]
)
def test_invalid_environment_variables(name: str, value: str, here: WorkingFolder) -> None:
    assert_error(here.dap(*COURSES, environ={name: value}), 2, name)


def test_no_output_contains_secrets_at_debug_level(clean: WorkingFolder, service: Service) -> None:
    environ = {**service.exports, "DAP_CLIENT_SECRET": service.exports["DAP_CLIENT_SECRET"]}
    secret = service.exports["DAP_CLIENT_SECRET"]
    outcome = clean.dap("--loglevel", "debug", "--logfile", "log", *COURSES, environ=environ)
    assert outcome.code == 0
    written = [path.read_bytes() for path in clean.folder.rglob("*") if path.is_file() and path.suffix != ".gz"]
    for text in (outcome.out.encode(), outcome.err.encode(), *written):
        assert secret.encode() not in text
        assert b"Bearer " not in text
        assert b"eyJ" not in text
        assert b"ignature=" not in text
