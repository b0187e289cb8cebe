"""Which certificates the cluster has: for whom, in which groups, and the kubeconfigs with them."""

import json
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.pki import Authority, Subject, ensure_key_pair, write_private

# Groups and user names that Kubernetes' own roles are bound to.
_CLIENTS = {
    "admin": Subject("opencode-fleet-admin", ("system:masters",)),
    "controller-manager": Subject("system:kube-controller-manager"),
    "scheduler": Subject("system:kube-scheduler"),
    "proxy": Subject("system:kube-proxy"),
    "kubelet": Subject(f"system:node:{addresses.NODE_NAME}", ("system:nodes",)),
    # Bound in manifests/access.yaml.
    "dns": Subject("opencode-fleet:dns"),
    "provisioner": Subject("opencode-fleet:provisioner"),
    "front-door": Subject("opencode-fleet:front-door"),
}
_API_SERVER = Subject(
    "kube-apiserver",
    addresses=(
        addresses.LOOPBACK,
        addresses.NODE_IP,
        addresses.API_SERVICE_IP,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{addresses.CLUSTER_DOMAIN}",
    ),
)
_KUBELET_SERVER = Subject(
    f"system:node:{addresses.NODE_NAME}", addresses=(addresses.NODE_IP, addresses.NODE_NAME)
)
# The API server's right to call the kubelet (exec, logs).
_KUBELET_CLIENT = Subject("kube-apiserver-kubelet-client", ("system:masters",))
_ETCD_SERVER = Subject("etcd", addresses=(addresses.LOOPBACK, "localhost"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of the public-key infrastructure, all present."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """The certificate file of that name."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key file of that name."""
        return self.folder / f"{name}.key"

    def kubeconfig(self, client: str) -> Path:
        """The kubeconfig of a client (admin, scheduler, …)."""
        return self.folder / f"{client}.kubeconfig"


def kubeconfig_of(authority: Path, certificate: Path, key: Path) -> dict[str, object]:
    """A kubeconfig, as plain data, that refers to these files."""
    name = addresses.CONTEXT
    cluster = {"server": addresses.API_URL, "certificate-authority": str(authority)}
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def ensure(folder: Path) -> Credentials:
    """Make what is missing or about to expire; the authorities and token keys stay as they are.

    etcd has an authority of its own: whoever the cluster's authority knows has no way into etcd.
    """
    cluster, store = Authority(folder, "ca"), Authority(folder, "etcd-ca")
    ensure_key_pair(folder / "service-accounts.key", folder / "service-accounts.pub")
    cluster.issue("apiserver", _API_SERVER)
    cluster.issue("kubelet-server", _KUBELET_SERVER)
    cluster.issue("apiserver-kubelet-client", _KUBELET_CLIENT)
    store.issue("etcd", _ETCD_SERVER)
    store.issue("apiserver-etcd-client", Subject("kube-apiserver"))
    for name, subject in _CLIENTS.items():
        certificate, key = cluster.issue(name, subject)
        config = kubeconfig_of(cluster.certificate, certificate, key)
        write_private(folder / f"{name}.kubeconfig", json.dumps(config, indent=1).encode())
    return Credentials(folder)
