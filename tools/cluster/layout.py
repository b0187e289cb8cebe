"""Where the local cluster keeps what: state, programs, and what lives only while it runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Unix socket paths end at 107 bytes and a home folder can be long: not below the state folder.
RUN_FOLDER = Path("/run/opencode-fleet")


def _base(env: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG rules: a relative value is to be ignored.
    value = env.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    return Path(env.get("HOME") or Path.home()) / default


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one cluster; every other path follows from these three."""

    state: Path
    programs: Path
    run: Path = RUN_FOLDER

    @classmethod
    def of(cls, env: Mapping[str, str] | None = None) -> "Layout":
        """The folders of the calling user, by XDG_DATA_HOME, XDG_CACHE_HOME and HOME."""
        given = os.environ if env is None else env
        return cls(
            state=_base(given, "XDG_DATA_HOME", ".local/share") / "opencode-fleet/local-cluster",
            programs=_base(given, "XDG_CACHE_HOME", ".cache") / "opencode-fleet/bin",
        )

    @property
    def lock_file(self) -> Path:
        """Beside the state, not in it: deleting the state must not delete a lock that is held."""
        return self.state.with_name(f"{self.state.name}.lock")

    @property
    def pki(self) -> Path:
        """Certificate authorities, keys and the components' kubeconfigs."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files, written anew at each start."""
        return self.state / "config"

    @property
    def log(self) -> Path:
        """One log a component, and the containers' logs below `pods`."""
        return self.state / "log"

    @property
    def etcd(self) -> Path:
        """The cluster's objects."""
        return self.state / "etcd"

    @property
    def volumes(self) -> Path:
        """What workloads wrote to their claims."""
        return self.state / "volumes"

    @property
    def containerd(self) -> Path:
        """Images and snapshots."""
        return self.state / "containerd"

    @property
    def kubelet(self) -> Path:
        """The node agent's own folder, pods' mounts included."""
        return self.state / "kubelet"

    @property
    def addresses(self) -> Path:
        """Pod addresses handed out."""
        return self.state / "cni"

    @property
    def docker(self) -> Path:
        """The Docker daemon's data, when the machine has no daemon of its own."""
        # The folder's name on machines that have one: another would build the image once more.
        return self.state / "engine"

    @property
    def records(self) -> Path:
        """Which process is which component; gone after a reboot, like the processes."""
        return self.run / "processes"

    @property
    def containerd_socket(self) -> Path:
        """The address of the cluster's own containerd."""
        return self.run / "containerd.sock"

    @property
    def docker_socket(self) -> Path:
        """The address of the cluster's own Docker daemon."""
        return self.run / "docker.sock"

    @property
    def door_socket(self) -> Path:
        """The front door's admin socket, root only."""
        return self.run / "front-door.sock"

    @property
    def door_map(self) -> Path:
        """Host names and where they lead, as the front door reads them."""
        return self.config / "front-door.map"

    @property
    def admin_kubeconfig(self) -> Path:
        """Full rights on the cluster, for this package's own commands."""
        return self.pki / "admin.kubeconfig"

    def log_of(self, component: str) -> Path:
        """The log file of a component."""
        return self.log / f"{component}.log"
