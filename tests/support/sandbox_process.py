"""A sandbox in a process of its own, and the installed command pointed at it: what end-to-end tests stand on."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DAP = Path(sys.executable).with_name("dap")
TABLES = "users,courses,enrollments,quiz_submissions,pseudonyms"

_SERVE = """
import asyncio, json, sys
from dapkit.sandbox.server import Sandbox, SandboxOptions

async def main(options):
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

    def dap(self, *words: str, timeout: float = 100) -> "subprocess.CompletedProcess[str]":
        """Run the installed command to its end."""
        return subprocess.run(
            [DAP, *words], env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start the installed command."""
        return subprocess.Popen(
            [DAP, *words], env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def misbehave(self, *faults: str) -> None:
        """Replace the sandbox's faults by these."""
        self._steer("faults", {"faults": list(faults)})

    def reset(self) -> None:
        """Let the sandbox count anew, and make new jobs for queries that it knows."""
        self._steer("reset", {})

    def _steer(self, what: str, fields: dict[str, Any]) -> None:
        body = json.dumps(fields).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.base_url}/_sandbox/{what}", data=body, method="POST"))

    def traffic(self) -> dict[str, Any]:
        """Return what the sandbox counted."""
        with urllib.request.urlopen(f"{self.base_url}/_sandbox/state") as answer:
            state: dict[str, Any] = json.load(answer)
        traffic: dict[str, Any] = state["traffic"]
        return traffic


@contextmanager
def sandbox_process(home: Path, **options: object) -> Iterator[SandboxProcess]:
    """Serve a sandbox until the block ends; `options` are those of SandboxOptions."""
    defaults: dict[str, object] = {"scale": 0.1, "part_rows": 100, "job_seconds": 0.0}
    serve = [sys.executable, "-c", _SERVE, json.dumps({**defaults, **options})]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base_url, client_id, client_secret = server.stdout.readline().split()
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DAP_")},
            "DAP_API_URL": base_url,
            "DAP_CLIENT_ID": client_id,
            "DAP_CLIENT_SECRET": client_secret,
            "DAP_PACE": "none",
            "DAP_PATIENCE": "20",
            "DAP_READ_TIMEOUT": "1",
            "XDG_STATE_HOME": str(home),
        }
        try:
            yield SandboxProcess(base_url=base_url, environ=environ)
        finally:
            server.kill()


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
