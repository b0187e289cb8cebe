"""A Kubernetes control plane of the benchmark's own, without nodes: real API, no containers.

Owns: its processes, its folder, its kubeconfig. The bundled cluster's programs are used, its ports,
state and processes are not. What is measured on it is the engine: its users are suspended.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.cluster import binaries
from tools.cluster.layout import Layout
from tools.cluster.pki import Authority, Subject, ensure_key_pair, write_private
from tools.cluster.processes import Identity, end, last_lines, start

CONTEXT = "opencode-fleet-bench"
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
_LOOPBACK = "127.0.0.1"
_PATIENCE = 300.0


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A running control plane."""

    folder: Path
    programs: Path
    processes: list[Identity] = field(default_factory=list[Identity])

    @property
    def kubeconfig(self) -> Path:
        """Full rights on this control plane."""
        return self.folder / "kubeconfig"

    @property
    def kubectl(self) -> str:
        """The kubectl of the same version."""
        return str(self.programs / "kubectl")

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which `fleet` and kubectl find this control plane."""
        given = {"KUBECONFIG": str(self.kubeconfig), "FLEET_KUBECTL": self.kubectl}
        return {**os.environ, **given}

    def call(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it printed."""
        return subprocess.run(
            [self.kubectl, f"--context={CONTEXT}", *arguments],
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


def until(condition: Callable[[], bool], what: str, patience: float = _PATIENCE) -> None:
    """Wait for a condition; fail the benchmark when it does not come."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"no {what} after {patience:.0f} s", pytrace=False)
        time.sleep(0.5)


def go_program(module: str) -> Path:
    """Return a program built from a Go module once; skip the figure when it cannot be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "opencode-fleet/bench/bin"
    path = folder / module.partition("@")[0].rpartition("/")[2]
    if path.exists():
        return path
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not Path(go).exists():
        pytest.skip(f"{path.name}: no Go toolchain to build it")
    folder.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "GOBIN": str(folder)}
    done = subprocess.run([go, "install", module], env=environ, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{path.name}: could not be built: {done.stderr.decode()[-200:]}")
    return path


@contextmanager
def running(folder: Path) -> Generator[Plane]:
    """Run a control plane in `folder`, and end it."""
    programs = binaries.find(Layout.of().programs)
    if programs is None:
        pytest.skip("Kubernetes is not built: python -m tools.cluster up builds it")
    plane = Plane(folder=folder, programs=programs)
    try:
        _start(plane)
        yield plane
    finally:
        end(list(reversed(plane.processes)), grace=20)


def _start(plane: Plane) -> None:
    client, peer, api, manager, scheduler = _free_ports(5)
    pki = plane.folder / "pki"
    authority = Authority(pki, "ca")
    ensure_key_pair(pki / "sa.key", pki / "sa.pub")
    certificate, key = authority.issue(
        "apiserver", Subject("kube-apiserver", addresses=(_LOOPBACK, "10.43.0.1", "localhost"))
    )
    _kubeconfig(plane, authority, api)
    _component(
        plane,
        "etcd",
        data_dir=plane.folder / "etcd",
        listen_client_urls=f"http://{_LOOPBACK}:{client}",
        advertise_client_urls=f"http://{_LOOPBACK}:{client}",
        listen_peer_urls=f"http://{_LOOPBACK}:{peer}",
        initial_advertise_peer_urls=f"http://{_LOOPBACK}:{peer}",
        initial_cluster=f"default=http://{_LOOPBACK}:{peer}",
        log_level="warn",
        # The disk of the machine is not what is measured.
        unsafe_no_fsync="true",
    )
    _component(
        plane,
        "kube-apiserver",
        etcd_servers=f"http://{_LOOPBACK}:{client}",
        bind_address=_LOOPBACK,
        secure_port=api,
        tls_cert_file=certificate,
        tls_private_key_file=key,
        client_ca_file=authority.certificate,
        service_account_issuer="https://kubernetes.default.svc.cluster.local",
        service_account_key_file=pki / "sa.pub",
        service_account_signing_key_file=pki / "sa.key",
        service_cluster_ip_range="10.43.0.0/16",
        authorization_mode="Node,RBAC",
        endpoint_reconciler_type="none",
    )
    until(lambda: _ready(plane), f"API server ({last_lines(plane.folder / 'etcd.log', 3)})")
    shared = {"kubeconfig": plane.kubeconfig, "bind_address": _LOOPBACK, "leader_elect": "false"}
    _component(
        plane,
        "kube-controller-manager",
        **shared,
        secure_port=manager,
        controllers="*,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller",
        service_account_private_key_file=pki / "sa.key",
        root_ca_file=authority.certificate,
        use_service_account_credentials="true",
        # Its default of 20 requests a second would be the longest part of deleting.
        kube_api_qps=500,
        kube_api_burst=1000,
    )
    _component(plane, "kube-scheduler", **shared, secure_port=scheduler)


def _component(plane: Plane, name: str, **flags: object) -> None:
    words = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
    program = plane.programs / name
    plane.processes.append(start([program, *words], plane.folder / f"{name}.log"))


def _ready(plane: Plane) -> bool:
    command = [plane.kubectl, f"--context={CONTEXT}", "get", "--raw", "/readyz"]
    return (
        subprocess.run(command, env=plane.environ, capture_output=True, check=False).returncode == 0
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind((_LOOPBACK, 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _kubeconfig(plane: Plane, authority: Authority, port: int) -> None:
    certificate, key = authority.issue("admin", Subject("bench", ("system:masters",)))
    cluster = {
        "server": f"https://{_LOOPBACK}:{port}",
        "certificate-authority": str(authority.certificate),
    }
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    write_private(plane.kubeconfig, json.dumps(content).encode())
