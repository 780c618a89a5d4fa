"""A sandbox in a process of its own, and the installed command pointed at it: what end-to-end tests stand on."""

import json
import os
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

DAP = Path(sys.executable).with_name("dap")
TABLES = "users,courses,enrollments,quiz_submissions,pseudonyms"

_SERVE = """
import asyncio, json, ssl, sys
from dapkit.sandbox.service.server import Sandbox, SandboxOptions

async def main(options):
    if certificate := options.pop("certificate", None):
        options["tls"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        options["tls"].load_cert_chain(certificate)
    async with Sandbox(SandboxOptions(**options)) as sandbox:
        print(sandbox.base_url, sandbox.client_id, sandbox.client_secret, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(json.loads(sys.argv[1])))
"""


@dataclass(frozen=True, kw_only=True)
class SandboxProcess:
    """A running sandbox and how to reach it."""

    base_url: str
    environ: dict[str, str]

    def dap(self, *words: str, timeout: float = 100, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the installed command to its end."""
        return subprocess.run(
            [DAP, *words], cwd=cwd, env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *words: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        """Start the installed command."""
        return subprocess.Popen(
            [DAP, *words], cwd=cwd, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def with_environ(self, **variables: str | None) -> "SandboxProcess":
        """Return the same sandbox, reached with these variables set (or, for None, unset)."""
        merged = {**self.environ, **variables}
        return replace(self, environ={name: value for name, value in merged.items() if value is not None})

    def misbehave(self, *faults: str) -> None:
        """Replace the sandbox's faults by these."""
        self._control("faults", {"faults": faults})

    def reset(self) -> None:
        """Have the sandbox forget its counts, and the jobs that equal queries would get back."""
        self._control("reset", {})

    def skip(self, seconds: float) -> None:
        """Let time pass at once for the sandbox's tokens, jobs and URLs."""
        self._control("clock", {"skip_seconds": seconds})

    def advance(self, hours: float = 4) -> None:
        """Move the sandbox's data clock on."""
        self._control("clock", {"advance_hours": hours})

    def set_data_time(self, moment: str) -> None:
        """Set the sandbox's data clock."""
        self._control("clock", {"data_time": moment})

    def traffic(self) -> dict[str, Any]:
        """Return what the sandbox counted."""
        traffic: dict[str, Any] = self._control("state")["traffic"]
        return traffic

    def _control(self, what: str, fields: dict[str, object] | None = None) -> dict[str, Any]:
        body = None if fields is None else json.dumps(fields).encode()
        # The control API is asked directly: its certificate, if it has one, is not the subject.
        tls = ssl._create_unverified_context() if self.base_url.startswith("https") else None
        handlers = [ProxyHandler({}), *([HTTPSHandler(context=tls)] if tls else [])]
        with build_opener(*handlers).open(Request(f"{self.base_url}/_sandbox/{what}", data=body)) as answer:
            state: dict[str, Any] = json.load(answer)
        return state


@contextmanager
def sandbox_process(home: Path, **options: object) -> Iterator[SandboxProcess]:
    """Serve a sandbox until the block ends.

    `options` are those of SandboxOptions; `certificate` is a file with a key and the certificate to serve TLS with.
    """
    defaults: dict[str, object] = {"scale": 0.1, "part_rows": 100, "job_seconds": 0.0}
    serve = [sys.executable, "-c", _SERVE, json.dumps({**defaults, **options})]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base_url, client_id, client_secret = server.stdout.readline().split()
        exports = {
            "DAP_API_URL": base_url,
            "DAP_CLIENT_ID": client_id,
            "DAP_CLIENT_SECRET": client_secret,
            "DAP_PACE": "none",
        }
        try:
            yield SandboxProcess(base_url=base_url, environ=_environ(home, exports))
        finally:
            server.kill()


@contextmanager
def sandbox_command(home: Path, *flags: str) -> Iterator[SandboxProcess]:
    """Serve a sandbox by the installed command until the block ends, and take what it prints into the environment."""
    environ = _environ(home, {})
    serve = [str(DAP), "sandbox", "--scale", "0.1", "--job-seconds", "0", *flags]
    with subprocess.Popen(serve, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        words = [shlex.split(server.stdout.readline())[1] for _ in range(4)]
        exports = dict(word.split("=", 1) for word in words)
        try:
            yield SandboxProcess(base_url=exports["DAP_API_URL"], environ={**environ, **exports})
        finally:
            server.kill()


def _environ(home: Path, exports: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without what would lead or slow the command, and with little patience."""
    strange = ("DAP_", "SSL_CERT_")
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(strange) and not name.lower().endswith("_proxy")
        },
        **exports,
        "DAP_RETRY_TIMEOUT": "20",
        "DAP_READ_TIMEOUT": "1",
        "XDG_STATE_HOME": str(home),
    }


def snapshot_words(output: Path, file_format: str = "jsonl", tables: Sequence[str] = (TABLES,)) -> list[str]:
    """Return the words of a snapshot command."""
    words = ["snapshot", "--namespace", "canvas", "--table", ",".join(tables)]
    return [*words, "--format", file_format, "--output-directory", str(output)]


def files(output: Path) -> dict[str, bytes]:
    """Return every visible file of the job folders by its place."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in output.glob("job_*/*")
        if not path.name.startswith(".")
    }


def assert_honest(output: Path, truth: dict[str, bytes]) -> None:
    """Every file under a final name is byte-equal to the truth; a manifest's folder is complete."""
    for place, content in files(output).items():
        assert truth.get(place) == content, f"{place} is wrong under its final name"
    for manifest in output.glob("job_*/.manifest.json"):
        named = {f"{manifest.parent.name}/{item['name']}" for item in json.loads(manifest.read_bytes())["objects"]}
        assert named == {place for place in truth if place.startswith(f"{manifest.parent.name}/")}
