"""A proxy and a certificate authority of our own in between, through the installed command."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from tests.support.connect_proxy import ConnectProxy, connect_proxy
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process, snapshot_words

HOST = "dap.test"  # known to nobody but the proxy
TABLES = ("users", "courses")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@dataclass(frozen=True)
class Network:
    """A sandbox that only a proxy knows the way to, and the authority that vouches for it."""

    sandbox: SandboxProcess
    proxy: ConnectProxy
    ca_file: Path

    def through(self, **variables: str) -> SandboxProcess:
        """Return the sandbox, asked for by the name that only the proxy knows."""
        base_url = re.sub(r"//[^:]*", f"//{HOST}", self.sandbox.base_url)
        return self.sandbox.with_environ(**{"DAP_API_URL": base_url, "HTTPS_PROXY": self.proxy.url, **variables})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SandboxProcess, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = folder / "server.pem"
    authority.issue_cert(HOST, "localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    with sandbox_process(folder / "state", certificate=str(certificate)) as sandbox:
        yield sandbox, folder / "ca.pem"


@pytest.fixture
def network(served: tuple[SandboxProcess, Path]) -> Iterator[Network]:
    sandbox, ca_file = served
    with connect_proxy() as proxy:
        yield Network(sandbox, proxy, ca_file)


def test_a_snapshot_through_a_proxy_with_a_ca_file(network: Network, tmp_path: Path) -> None:
    words = snapshot_words(tmp_path / "out", tables=TABLES)
    done = network.through().dap(*words, "--ca-file", str(network.ca_file))
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) > 2
    port = network.sandbox.base_url.rpartition(":")[2]
    assert set(network.proxy.wanted) == {f"{HOST}:{port}"}
    assert "authorization" not in network.proxy.shown
    assert network.sandbox.traffic()["credential_leaks"] == []


def test_a_snapshot_through_a_proxy_with_ssl_cert_file(network: Network, tmp_path: Path) -> None:
    words = snapshot_words(tmp_path / "out", tables=TABLES)
    done = network.through(SSL_CERT_FILE=str(network.ca_file)).dap(*words)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) > 2
    assert network.proxy.wanted


def test_a_certificate_that_nobody_vouches_for_is_refused_through_a_proxy_too(network: Network, tmp_path: Path) -> None:
    done = network.through().dap(*snapshot_words(tmp_path / "out", tables=TABLES))
    assert done.returncode == 21
    assert HOST in done.stderr
    assert "--ca-file" in done.stderr
    assert files(tmp_path / "out") == {}


@pytest.mark.parametrize("value", [HOST, f".{HOST.partition('.')[2]}", "*"])
def test_no_proxy_is_honoured(network: Network, tmp_path: Path, value: str) -> None:
    # Nobody else knows the host, so that not to ask the proxy is not to find it.
    done = network.through(NO_PROXY=value).dap("list", "--namespace", "canvas", "--ca-file", str(network.ca_file))
    assert done.returncode == 20
    assert HOST in done.stderr
    assert network.proxy.wanted == []


def test_no_proxy_for_another_host_changes_nothing(network: Network) -> None:
    sandbox = network.through(NO_PROXY="other.test")
    done = sandbox.dap("list", "--namespace", "canvas", "--ca-file", str(network.ca_file))
    assert done.returncode == 0, done.stderr
    assert network.proxy.wanted


def test_this_machine_is_never_asked_of_a_proxy(network: Network) -> None:
    base_url = re.sub(r"//[^:]*", "//localhost", network.sandbox.base_url)
    sandbox = network.through(DAP_API_URL=base_url)
    done = sandbox.dap("list", "--namespace", "canvas", "--ca-file", str(network.ca_file))
    assert done.returncode == 0, done.stderr
    assert network.proxy.wanted == []


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_refuses(network: Network, tmp_path: Path, status: int) -> None:
    network.proxy.status = status
    sandbox = network.through(HTTPS_PROXY=network.proxy.url.replace("//", "//me:a-proxy-password@"))
    done = sandbox.dap(*snapshot_words(tmp_path / "out"), "--ca-file", str(network.ca_file))
    assert done.returncode == 22
    assert str(status) in done.stderr
    assert "HTTPS_PROXY" in done.stderr
    assert "a-proxy-password" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "proxy-authorization" in network.proxy.shown


def test_a_proxy_that_is_not_there(network: Network) -> None:
    gone = replace(network, proxy=ConnectProxy(port=1))
    done = gone.through().dap("list", "--namespace", "canvas")
    assert done.returncode == 22
    assert "proxy" in done.stderr
