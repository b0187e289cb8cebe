"""Writing the cluster's folders and configuration files, anew at each start."""

import json
import string
from pathlib import Path
from typing import Any

from tools.cluster import addresses, configs, front_door
from tools.cluster.credentials import Credentials
from tools.cluster.layout import Layout

_MANIFESTS = Path(__file__).parent / "manifests"
# systemd-resolved's own listener is on loopback, where pods are not.
_RESOLV_CONFS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))


def make_folders(layout: Layout) -> None:
    """Make every folder; none is readable by others, for volumes lie below."""
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.state.chmod(0o700)
    layout.run.mkdir(parents=True, exist_ok=True)
    layout.run.chmod(0o700)
    folders = (layout.pki, layout.config, layout.log, layout.log / "pods", layout.etcd)
    more = (layout.config / "cni", layout.volumes, layout.containerd, layout.kubelet)
    for folder in (*folders, *more):
        folder.mkdir(parents=True, exist_ok=True)
    # etcd warns about, and newer ones refuse, a folder that others can read.
    layout.etcd.chmod(0o700)
    layout.door_map.touch()


def _write(path: Path, content: str | dict[str, Any]) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def manifest(name: str) -> str:
    """A file of the manifests folder with the cluster's addresses and names filled in."""
    text = (_MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")
    return string.Template(text).safe_substitute(vars(addresses))


def _resolv_conf() -> Path | None:
    for path in _RESOLV_CONFS:
        if path.is_file() and configs.name_servers(path.read_text(encoding="utf-8")):
            return path
    return None


def write_configs(
    layout: Layout, credentials: Credentials, cni_programs: Path, mtu: int, port: int
) -> None:
    """Write the configuration of every component."""
    config = layout.config
    resolv_conf = _resolv_conf()
    empty = config / "resolv.conf"
    _write(empty, "# this machine has no name servers\n")
    _write(config / "containerd.toml", configs.containerd(layout, cni_programs))
    _write(config / "cni/10-pods.conflist", configs.cni(layout, mtu))
    _write(config / "kubelet.yaml", configs.kubelet(layout, credentials, resolv_conf or empty))
    _write(config / "kube-proxy.yaml", configs.kube_proxy(credentials))
    _write(config / "Corefile", configs.corefile(credentials, resolv_conf))
    _write(config / "provisioner.json", configs.provisioner(layout))
    _write(config / "helper-pod.yaml", manifest("helper-pod"))
    # An empty one of ours, so that the daemon does not read /etc/docker/daemon.json.
    _write(config / "dockerd.json", {})
    _write(config / "front-door.cfg", front_door.config(layout, port))


def saved_port(layout: Layout) -> int:
    """The front door's port of the last start, the default before the first."""
    try:
        return int((layout.state / "port").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return addresses.DEFAULT_FRONT_DOOR_PORT


def save_port(layout: Layout, port: int) -> None:
    """Keep the port for the next start."""
    _write(layout.state / "port", str(port))
