"""Every long-running process of the cluster: its command line and the files it was started with.

Pure. Starting, waiting and stopping are lifecycle.py's; the files' contents are configs.py's.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.credentials import Credentials
from tools.cluster.layout import Layout

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Component:
    """One process; `inputs` are files whose change means that it has to be started anew."""

    name: str
    argv: tuple[str, ...]
    inputs: tuple[Path, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])

    def fingerprint(self) -> str:
        """Changes whenever the running process would differ from a newly started one."""
        digest = hashlib.sha256(json.dumps([self.argv, self.env]).encode())
        for path in self.inputs:
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def _flags(**values: object) -> tuple[str, ...]:
    return tuple(f"--{name.replace('_', '-')}={value}" for name, value in values.items())


@dataclass(frozen=True, slots=True)
class Components:
    """The components of one cluster, by what they need: folders, programs, credentials."""

    layout: Layout
    programs: Path
    credentials: Credentials

    def _program(self, name: str) -> str:
        return str(self.programs / name)

    def _certified(self, *names: str) -> tuple[Path, ...]:
        return tuple(self.credentials.certificate(name) for name in names)

    def containerd(self) -> Component:
        """Runs containers; the machine's own containerd, if any, is another one."""
        config = self.layout.config / "containerd.toml"
        return Component("containerd", ("containerd", "--config", str(config)), (config,))

    def etcd(self) -> Component:
        """Keeps the cluster's objects, reachable with a certificate of its own authority only."""
        held = self.credentials
        client = f"https://{addresses.LOOPBACK}:{addresses.ETCD_CLIENT_PORT}"
        peer = f"https://{addresses.LOOPBACK}:{addresses.ETCD_PEER_PORT}"
        argv = _flags(
            name="local",
            data_dir=self.layout.etcd,
            listen_client_urls=client,
            advertise_client_urls=client,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"local={peer}",
            cert_file=held.certificate("etcd"),
            key_file=held.key("etcd"),
            client_cert_auth="true",
            trusted_ca_file=held.certificate("etcd-ca"),
            peer_cert_file=held.certificate("etcd"),
            peer_key_file=held.key("etcd"),
            peer_client_cert_auth="true",
            peer_trusted_ca_file=held.certificate("etcd-ca"),
            log_level="warn",
        )
        return Component("etcd", (self._program("etcd"), *argv), self._certified("etcd"))

    def api_server(self) -> Component:
        """Serves on loopback; pods come through the front door's address on the bridge."""
        held = self.credentials
        argv = _flags(
            etcd_servers=f"https://{addresses.LOOPBACK}:{addresses.ETCD_CLIENT_PORT}",
            etcd_cafile=held.certificate("etcd-ca"),
            etcd_certfile=held.certificate("apiserver-etcd-client"),
            etcd_keyfile=held.key("apiserver-etcd-client"),
            bind_address=addresses.LOOPBACK,
            secure_port=addresses.API_PORT,
            advertise_address=addresses.NODE_IP,
            tls_cert_file=held.certificate("apiserver"),
            tls_private_key_file=held.key("apiserver"),
            client_ca_file=held.certificate("ca"),
            kubelet_client_certificate=held.certificate("apiserver-kubelet-client"),
            kubelet_client_key=held.key("apiserver-kubelet-client"),
            kubelet_certificate_authority=held.certificate("ca"),
            # The node's name resolves nowhere.
            kubelet_preferred_address_types="InternalIP",
            service_account_issuer=f"https://kubernetes.default.svc.{addresses.CLUSTER_DOMAIN}",
            service_account_key_file=held.folder / "service-accounts.pub",
            service_account_signing_key_file=held.folder / "service-accounts.key",
            service_cluster_ip_range=addresses.SERVICE_CIDR,
            authorization_mode="Node,RBAC",
            enable_admission_plugins="NodeRestriction",
            allow_privileged="true",
            profiling="false",
        )
        issued = ("apiserver", "apiserver-etcd-client", "apiserver-kubelet-client")
        program = self._program("kube-apiserver")
        return Component("kube-apiserver", (program, *argv), self._certified(*issued))

    def controller_manager(self) -> Component:
        """The control loops; the node's addresses are given out by the CNI plugin instead."""
        held = self.credentials
        config = held.kubeconfig("controller-manager")
        argv = _flags(
            kubeconfig=config,
            authentication_kubeconfig=config,
            authorization_kubeconfig=config,
            bind_address=addresses.LOOPBACK,
            secure_port=addresses.CONTROLLER_MANAGER_PORT,
            controllers="*,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller",
            leader_elect="false",
            use_service_account_credentials="true",
            service_account_private_key_file=held.folder / "service-accounts.key",
            root_ca_file=held.certificate("ca"),
            cluster_signing_cert_file=held.certificate("ca"),
            cluster_signing_key_file=held.key("ca"),
            profiling="false",
        )
        program = self._program("kube-controller-manager")
        inputs = self._certified("controller-manager")
        return Component("kube-controller-manager", (program, *argv), inputs)

    def scheduler(self) -> Component:
        """Puts pods on the one node."""
        config = self.credentials.kubeconfig("scheduler")
        argv = _flags(
            kubeconfig=config,
            authentication_kubeconfig=config,
            authorization_kubeconfig=config,
            bind_address=addresses.LOOPBACK,
            secure_port=addresses.SCHEDULER_PORT,
            leader_elect="false",
            profiling="false",
        )
        program = self._program("kube-scheduler")
        return Component("kube-scheduler", (program, *argv), self._certified("scheduler"))

    def kube_proxy(self) -> Component:
        """Makes Service addresses work."""
        config = self.layout.config / "kube-proxy.yaml"
        argv = (self._program("kube-proxy"), *_flags(config=config))
        return Component("kube-proxy", argv, (config, *self._certified("proxy")))

    def kubelet(self) -> Component:
        """The node agent."""
        config = self.layout.config / "kubelet.yaml"
        argv = _flags(
            config=config,
            kubeconfig=self.credentials.kubeconfig("kubelet"),
            root_dir=self.layout.kubelet,
            cert_dir=self.layout.kubelet / "pki",
            hostname_override=addresses.NODE_NAME,
            node_ip=addresses.NODE_IP,
        )
        inputs = (config, *self._certified("kubelet", "kubelet-server"))
        return Component("kubelet", (self._program("kubelet"), *argv), inputs)

    def dns(self) -> Component:
        """CoreDNS, on the bridge's address behind the kube-dns Service."""
        config = self.layout.config / "Corefile"
        argv = (self._program("coredns"), "-conf", str(config))
        return Component("coredns", argv, (config, *self._certified("dns")))

    def provisioner(self) -> Component:
        """Makes a folder for each claim of the default storage class."""
        config = self.layout.config / "provisioner.json"
        helper_pod = self.layout.config / "helper-pod.yaml"
        argv = (
            self._program("local-path-provisioner"),
            "start",
            "--config",
            str(config),
            "--kubeconfig",
            str(self.credentials.kubeconfig("provisioner")),
            "--namespace",
            "local-path-storage",
            "--helper-image",
            addresses.HELPER_IMAGE,
            "--helper-pod-file",
            str(helper_pod),
            "--service-account-name",
            "default",
        )
        inputs = (config, helper_pod, *self._certified("provisioner"))
        return Component("local-path-provisioner", argv, inputs)

    def front_door(self) -> Component:
        """HAProxy."""
        config = self.layout.config / "front-door.cfg"
        return Component("front-door", ("haproxy", "-db", "-f", str(config)), (config,))

    def door_watcher(self) -> Component:
        """Tells the front door which hosts there are."""
        watcher = Path(__file__).with_name("door_watcher.py")
        argv = (
            sys.executable,
            "-m",
            "tools.cluster.door_watcher",
            str(self.credentials.kubeconfig("front-door")),
            str(self.layout.door_socket),
            str(self.layout.door_map),
        )
        inputs = (watcher, watcher.with_name("front_door.py"), *self._certified("front-door"))
        return Component("front-door-watcher", argv, inputs, {"PYTHONPATH": str(REPOSITORY)})


# Stopped in this order: what reacts to the end of others ends before them.
STOP_ORDER = (
    "front-door-watcher",
    "front-door",
    "local-path-provisioner",
    "coredns",
    "kubelet",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
)
