"""A sandbox in a separate process, and the installed command that uses it: the basis of the end-to-end tests."""

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
from types import TracebackType
from typing import Any
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

DAP = Path(sys.executable).with_name("dap")
TABLES = "users,courses,enrollments,quiz_submissions,pseudonyms"

_SERVE = """
import asyncio, json, ssl, sys
from dapkit.sandbox.service.server import Sandbox
from dapkit.sandbox.service.state import SandboxOptions

async def main(options):
    if certificate := options.pop("certificate", None):
        options["tls"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        options["tls"].load_cert_chain(certificate)
    async with Sandbox(SandboxOptions(**options)) as sandbox:
        print(sandbox.base_url, sandbox.client_id, sandbox.client_secret, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(json.loads(sys.argv[1])))
"""


class Command(subprocess.Popen[str]):
    """A running command that is killed if the test fails, which would otherwise wait for its end."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill the command after an exception."""
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, traceback)


@dataclass(frozen=True, kw_only=True)
class SandboxProcess:
    """A running sandbox, and the environment in which the command uses it."""

    base_url: str
    environ: dict[str, str]

    def dap(self, *arguments: str, timeout: float = 100, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the installed command to its end."""
        return subprocess.run(
            [DAP, *arguments], cwd=cwd, env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *arguments: str, cwd: Path | None = None) -> Command:
        """Start the installed command."""
        return Command(
            [DAP, *arguments], cwd=cwd, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def with_environ(self, **variables: str | None) -> "SandboxProcess":
        """Return the same sandbox with these environment variables set (or, for None, unset)."""
        merged = {**self.environ, **variables}
        return replace(self, environ={name: value for name, value in merged.items() if value is not None})

    def set_faults(self, *faults: str) -> None:
        """Replace the sandbox's faults."""
        self._control("faults", {"faults": faults})

    def reset(self) -> None:
        """Clear the sandbox's counters, and the jobs that identical queries would get again."""
        self._control("reset", {})

    def skip(self, seconds: float) -> None:
        """Skip time: tokens, jobs and URLs of the sandbox age at once."""
        self._control("clock", {"skip_seconds": seconds})

    def advance(self, hours: float = 4) -> None:
        """Advance the sandbox's data clock."""
        self._control("clock", {"advance_hours": hours})

    def set_data_time(self, moment: str) -> None:
        """Set the sandbox's data clock."""
        self._control("clock", {"data_time": moment})

    def traffic(self) -> dict[str, Any]:
        """Return what the sandbox counted."""
        traffic: dict[str, Any] = self._control("state")["traffic"]
        return traffic

    def _control(self, resource: str, fields: dict[str, object] | None = None) -> dict[str, Any]:
        body = None if fields is None else json.dumps(fields).encode()
        # Without a proxy and without checking the certificate: tests of those concern the command, not this request.
        tls = ssl._create_unverified_context() if self.base_url.startswith("https") else None
        handlers = [ProxyHandler({}), *([HTTPSHandler(context=tls)] if tls else [])]
        with build_opener(*handlers).open(Request(f"{self.base_url}/_sandbox/{resource}", data=body)) as response:
            state: dict[str, Any] = json.load(response)
        return state


@contextmanager
def sandbox_process(home: Path, **options: object) -> Iterator[SandboxProcess]:
    """Serve a sandbox until the block ends.

    `options` are those of SandboxOptions; `certificate` names a file with a key and a certificate, for TLS.
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
    """Serve a sandbox with the installed command until the block ends; the environment comes from what it prints."""
    environ = _environ(home, {})
    serve = [str(DAP), "sandbox", "--scale", "0.1", "--job-seconds", "0", *flags]
    with subprocess.Popen(serve, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        assignments = [shlex.split(server.stdout.readline())[1] for _ in range(4)]  # of lines "export NAME=VALUE"
        exports = dict(assignment.split("=", 1) for assignment in assignments)
        try:
            yield SandboxProcess(base_url=exports["DAP_API_URL"], environ={**environ, **exports})
        finally:
            server.kill()


def _environ(home: Path, exports: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without what would redirect or slow down the command, and with a short retry timeout."""
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DAP_", "SSL_CERT_")) and not name.lower().endswith("_proxy")
        },
        **exports,
        "DAP_RETRY_TIMEOUT": "20",
        "DAP_READ_TIMEOUT": "10",
        "XDG_STATE_HOME": str(home),
    }


def snapshot_arguments(output: Path, file_format: str = "jsonl", tables: Sequence[str] = (TABLES,)) -> list[str]:
    """Return the arguments of a snapshot command."""
    arguments = ["snapshot", "--namespace", "canvas", "--table", ",".join(tables)]
    return [*arguments, "--format", file_format, "--output-directory", str(output)]


def files(output: Path) -> dict[str, bytes]:
    """Return the contents of all visible files in the job folders, by relative path."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in output.glob("job_*/*")
        if not path.name.startswith(".")
    }


def assert_files_correct(output: Path, expected: dict[str, bytes]) -> None:
    """Check that every file under its final name is byte-identical, and that folders with a manifest are complete."""
    for path, content in files(output).items():
        assert expected.get(path) == content, f"{path} is wrong under its final name"
    for manifest in output.glob("job_*/.manifest.json"):
        named = {f"{manifest.parent.name}/{item['name']}" for item in json.loads(manifest.read_bytes())["objects"]}
        assert named == {path for path in expected if path.startswith(f"{manifest.parent.name}/")}
