"""Foundation of the benchmarks: files to download, a cheap TLS store, and a way to measure a command.

The store is nginx if it is installed, otherwise a server from the standard library in a separate process. In front
of it is a service with fixed responses. Only the commands that are compared are measured: CPU and peak memory are
those of the process, as accounted by the system.
"""

import contextlib
import http.server
import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("DAPKIT_BENCH_DIR", ROOT / ".bench"))
DAP = [str(Path(sys.executable).with_name("dap"))]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command used: seconds of wall clock and of CPU, and peak memory in bytes."""

    wall: float
    cpu: float
    peak: int

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


def measure(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Usage:
    """Run a command and return what it used. Its output is shown only if it fails."""
    log = FOLDER / "last.log"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **(env or {})}, cwd=cwd, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.write(log.read_text(errors="replace")[-4000:])
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def median(usages: Sequence[Usage]) -> Usage:
    """Return the median of each figure, and the highest peak."""
    return Usage(
        statistics.median(usage.wall for usage in usages),
        statistics.median(usage.cpu for usage in usages),
        max(usage.peak for usage in usages),
    )


def alternately(count: int, *ways: Callable[[], Usage]) -> list[Usage]:
    """Run the ways in turn, `count` times after one round that warms the caches; return the median of each."""
    for way in ways:
        way()
    rounds = [[way() for way in ways] for _ in range(count)]
    return [median(usages) for usages in zip(*rounds, strict=True)]


@dataclass(frozen=True, slots=True)
class Objects:
    """Files of one kind in a folder, ready to be served."""

    format: str
    folder: Path

    def names(self) -> list[str]:
        """Return the file names, in order."""
        return sorted(path.name for path in self.folder.iterdir())

    def size(self) -> int:
        """Return the size of all files in bytes."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


def objects(format: str, count: int, size: int) -> Objects:  # noqa: A002 - the word of the service
    """Create `count` files of about `size` bytes each, if they do not exist.

    This happens in another process, because the system includes a parent's memory in the peak of its children.
    """
    folder = FOLDER / "data" / f"{format}-{count}x{size}"
    if not folder.is_dir():
        maker = str(Path(__file__).with_name("objects.py"))
        subprocess.run([sys.executable, maker, str(folder), format, str(count), str(size)], check=True)
    return Objects(format, folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Store:
    """A running TLS store."""

    url: str
    ca_file: Path


@contextlib.contextmanager
def store() -> Iterator[Store]:
    """Serve the data folder over TLS on loopback."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    ca_file, key_file = FOLDER / "ca.pem", FOLDER / "server.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(key_file))
    port = _free_port()
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx:
        config = FOLDER / "nginx.conf"
        config.write_text(_nginx_config(port, key_file))
        command = [nginx, "-e", "stderr", "-c", str(config)]
    else:
        command = [sys.executable, __file__, "serve", str(port), str(key_file)]
    process = subprocess.Popen(command)
    try:
        _wait_for(port, process)
        yield Store(f"https://localhost:{port}", ca_file)
    finally:
        process.terminate()
        process.wait()


def _nginx_config(port: int, key_file: Path) -> str:
    user = "user root;" if os.getuid() == 0 else ""
    return f"""
        {user} daemon off; master_process off; worker_processes 1;
        pid {FOLDER}/nginx-{port}.pid; error_log stderr;
        events {{ worker_connections 256; }}
        http {{
            access_log off; sendfile on; keepalive_requests 100000; types {{}}
            client_body_temp_path {FOLDER}/nginx-body; proxy_temp_path {FOLDER}/nginx-proxy;
            fastcgi_temp_path {FOLDER}/nginx-fcgi; uwsgi_temp_path {FOLDER}/nginx-uwsgi;
            scgi_temp_path {FOLDER}/nginx-scgi;
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {key_file}; ssl_certificate_key {key_file};
                ssl_session_cache shared:tls:1m;
                root {FOLDER}/data;
            }}
        }}
    """


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit("the store did not start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("the store does not respond")


class _Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


def _serve(port: int, key_file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key_file)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(_Files, directory=str(FOLDER / "data")))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


class _Service(http.server.BaseHTTPRequestHandler):
    """A service with fixed responses: one table, whose job is complete at once and lists all objects."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: Objects
    store: Store

    def do_GET(self) -> None:
        if self.path.endswith("/schema"):
            self._respond({"schema": {"properties": {"key": {}, "value": {}, "meta": {}}}, "version": 1})
        elif "/job/" in self.path:
            self._respond(self._job())
        else:
            self._respond({"tables": ["bench"]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path.endswith("/login"):
            self._respond({"access_token": "bench", "token_type": "Bearer", "expires_in": 3600, "scope": "x"})
        elif self.path.endswith("/url"):
            base = f"{self.store.url}/{self.objects.folder.name}"
            self._respond({"urls": {item["id"]: {"url": f"{base}/{item['id']}"} for item in json.loads(body)}})
        else:
            self._respond(self._job())

    def _job(self) -> dict[str, object]:
        return {
            "id": "0b6f0e2c-1111-4222-8333-444455556666",
            "status": "complete",
            "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_000)),
            "objects": [{"id": name} for name in self.objects.names()],
            "schema_version": 1,
            "at": "2025-01-01T00:00:00Z",
        }

    def _respond(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextlib.contextmanager
def service(objects: Objects, store: Store) -> Iterator[dict[str, str]]:
    """Run the service; yields the environment variables that make a command use it."""
    handler = type("Handler", (_Service,), {"objects": objects, "store": store})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "DAP_API_URL": f"http://127.0.0.1:{server.server_port}",
            "DAP_CLIENT_ID": "bench",
            "DAP_CLIENT_SECRET": "bench",
            "DAP_PACE": "none",
            "XDG_STATE_HOME": str(FOLDER / "state"),
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def curl(objects: Objects, store: Store) -> Usage:
    """Download every object with curl, eight at once."""
    with output() as folder:
        base = f"{store.url}/{objects.folder.name}"
        lines = [f'url = "{base}/{name}"\noutput = "{folder / name}"' for name in objects.names()]
        config = FOLDER / "curl.conf"
        config.write_text("\n".join(lines))
        options = ["--fail", "--silent", "--show-error", "--parallel", "--parallel-max", "8"]
        return measure(["curl", *options, "--cacert", str(store.ca_file), "--config", str(config)])


def sha256sum(objects: Objects) -> Usage:
    """Compute the SHA-256 of every object."""
    return measure(["sha256sum", *objects.names()], cwd=objects.folder)


def igzip_test(objects: Objects) -> Usage:
    """Test every gzip object with igzip."""
    tool = shutil.which("igzip")
    if tool is None:
        raise SystemExit("igzip is missing: install the Debian package isal")
    return measure([tool, "-t", *objects.names()], cwd=objects.folder)


def snapshot(objects: Objects, store: Store) -> Usage:
    """Download every object with `dap snapshot`, with all checks."""
    with output() as folder, service(objects, store) as env:
        command = [*DAP, "snapshot", "--namespace", "canvas", "--table", "bench", "--format", objects.format]
        return measure([*command, "--output-directory", str(folder), "--ca-file", str(store.ca_file)], env=env)


@contextlib.contextmanager
def output() -> Iterator[Path]:
    """Yield a new folder. Afterwards its files are truncated; they are deleted at the end of all measurements.

    Some file systems are slow to allocate inodes that were freed a moment ago.
    """
    folder = FOLDER / "out" / f"{time.time_ns():x}"
    folder.mkdir(parents=True)
    yield folder
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def row(what: str, figures: Mapping[str, tuple[float, float | None]], peak: int) -> str:
    """Return one row of a table: what was measured, each ratio with its target if it has one, peak memory in MB."""
    cells = [
        f"{name} {ratio:.2f}x" + ("" if limit is None else f" of {limit:.2f}x")
        for name, (ratio, limit) in figures.items()
    ]
    return f"| {what} | {' · '.join(cells)} | {peak / 1e6:.0f} MB |"


if __name__ == "__main__" and sys.argv[1:2] == ["serve"]:
    _serve(int(sys.argv[2]), sys.argv[3])
