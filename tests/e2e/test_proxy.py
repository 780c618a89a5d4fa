"""Connections through a proxy, and servers with certificates of a private authority."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from tests.support.connect_proxy import ConnectProxy, connect_proxy
from tests.support.sandbox_process import SandboxProcess, files, sandbox_process, snapshot_arguments

HOST = "dap.test"  # only the proxy can resolve it
TABLES = ("users", "courses")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@dataclass(frozen=True)
class Network:
    """A sandbox that is only reachable through a proxy, and the authority that signed its certificate."""

    sandbox: SandboxProcess
    proxy: ConnectProxy
    ca_file: Path

    def through(self, **variables: str) -> SandboxProcess:
        """Return the sandbox under the host name that only the proxy can resolve."""
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
    arguments = snapshot_arguments(tmp_path / "out", tables=TABLES)
    done = network.through().dap(*arguments, "--ca-file", str(network.ca_file))
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) > 2
    port = network.sandbox.base_url.rpartition(":")[2]
    assert set(network.proxy.targets) == {f"{HOST}:{port}"}
    assert "authorization" not in network.proxy.headers
    assert network.sandbox.traffic()["credential_leaks"] == []


def test_a_snapshot_through_a_proxy_with_ssl_cert_file(network: Network, tmp_path: Path) -> None:
    arguments = snapshot_arguments(tmp_path / "out", tables=TABLES)
    done = network.through(SSL_CERT_FILE=str(network.ca_file)).dap(*arguments)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) > 2
    assert network.proxy.targets


def test_an_untrusted_certificate_is_rejected_through_a_proxy_too(network: Network, tmp_path: Path) -> None:
    done = network.through().dap(*snapshot_arguments(tmp_path / "out", tables=TABLES))
    assert done.returncode == 21
    assert HOST in done.stderr
    assert "--ca-file" in done.stderr
    assert files(tmp_path / "out") == {}


@pytest.mark.parametrize("value", [HOST, f".{HOST.partition('.')[2]}", "*"])
def test_no_proxy_is_honoured(network: Network, tmp_path: Path, value: str) -> None:
    # Only the proxy can resolve the host, so without it the command does not find the host.
    done = network.through(NO_PROXY=value).dap("list", "--namespace", "canvas", "--ca-file", str(network.ca_file))
    assert done.returncode == 20
    assert HOST in done.stderr
    assert network.proxy.targets == []


def test_no_proxy_for_another_host_has_no_effect(network: Network) -> None:
    sandbox = network.through(NO_PROXY="other.test")
    done = sandbox.dap("list", "--namespace", "canvas", "--ca-file", str(network.ca_file))
    assert done.returncode == 0, done.stderr
    assert network.proxy.targets


def test_localhost_is_never_requested_from_a_proxy(network: Network) -> None:
    base_url = re.sub(r"//[^:]*", "//localhost", network.sandbox.base_url)
    sandbox = network.through(DAP_API_URL=base_url)
    done = sandbox.dap("list", "--namespace", "canvas", "--ca-file", str(network.ca_file))
    assert done.returncode == 0, done.stderr
    assert network.proxy.targets == []


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_rejects_the_request(network: Network, tmp_path: Path, status: int) -> None:
    network.proxy.status = status
    sandbox = network.through(HTTPS_PROXY=network.proxy.url.replace("//", "//me:a-proxy-password@"))
    done = sandbox.dap(*snapshot_arguments(tmp_path / "out"), "--ca-file", str(network.ca_file))
    assert done.returncode == 22
    assert str(status) in done.stderr
    assert "HTTPS_PROXY" in done.stderr
    assert "a-proxy-password" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "proxy-authorization" in network.proxy.headers


def test_an_unreachable_proxy(network: Network) -> None:
    unreachable = replace(network, proxy=ConnectProxy(port=1))
    done = unreachable.through().dap("list", "--namespace", "canvas")
    assert done.returncode == 22
    assert "proxy" in done.stderr
