"""The cluster's programs, compiled from Go modules once and kept outside the repository.

All are of one module (kube/go.mod), so what they share is compiled once. Containerd, runc, HAProxy
and the CNI plugins are the distribution's (see packages.py).
"""

from collections.abc import Callable
from pathlib import Path

from tools.cluster.errors import ClusterError
from tools.go_build.errors import BuildError
from tools.go_build.programs import ProgramSet

KUBERNETES = "v1.35.4"
KUBE_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)


def _stamps() -> dict[str, str]:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    version = "k8s.io/component-base/version"
    # Clients refuse a server that calls itself v0.0.0.
    return {
        f"{version}.gitVersion": KUBERNETES,
        f"{version}.gitMajor": major,
        f"{version}.gitMinor": minor,
        f"{version}.gitTreeState": "clean",
    }


PROGRAMS = ProgramSet(
    title=f"Kubernetes {KUBERNETES}",
    module=Path(__file__).parent / "kube",
    groups=(
        (".", "./pause", "./coredns"),
        # A run of its own: it spells a module with a capital letter, Kubernetes without, and Go
        # refuses both spellings side by side.
        ("github.com/rancher/local-path-provisioner",),
    ),
    programs=("kube", "pause", "coredns", "local-path-provisioner"),
    stamps=_stamps(),
    names=dict.fromkeys(KUBE_NAMES, "kube"),
)


def find(cache: Path) -> Path | None:
    """The newest finished set of the present sources, whatever toolchain built it; None if none."""
    return PROGRAMS.find(cache)


def ensure(cache: Path, tell: Callable[[str], None]) -> Path:
    """The folder of the programs, built first when the cache lacks them.

    Raises ClusterError when that fails; nothing half-built stays.
    """
    try:
        return PROGRAMS.ensure(cache, tell)
    except BuildError as error:
        raise ClusterError(str(error)) from None
