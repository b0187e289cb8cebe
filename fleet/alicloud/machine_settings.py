"""The settings of the k3s machine: kubelet, API server, ingress controller, packet filter.

Owns: what each settings file says. Leaves out: how the files reach the machine (`cloud_init`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from fleet.alicloud.addresses import INNER
from fleet.alicloud.network_plan import API, POD_CIDR, SERVICE_CIDR

DATA = "/srv/opencode-fleet"
ETC = "/etc/opencode-fleet"
# The shipped files say these two again; a test holds them together.
STORAGE_CLASS = "fleet-retain"
ADMINS = "opencode-fleet:admins"
"""Group of the program's certificate, with its generation behind it on the machine."""
RESERVE_GIB = 10
"""What volumes leave of the disk to k3s: its datastore, images, containers' own files."""
POD_PIDS = 2048
"""Processes and threads of one pod: a build has hundreds, a runaway loop has no end."""
_RESOLVERS = "100.100.2.136, 100.100.2.138"


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Everything that differs between two machines."""

    node_name: str
    sans: tuple[str, ...]
    """Addresses and names by which the Kubernetes API is called."""
    k3s_version: str
    k3s_sha256: str
    k3s_urls: tuple[str, ...]
    vpc_cidr: str
    host_egress: tuple[str, ...] = ()
    system_registry: str | None = None
    registry_mirrors: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    disk_serial: str | None = None
    """Id of the data disk without `d-`; None keeps data on the boot disk."""
    disk_may_be_formatted: bool = False
    """True only for a disk that is made together with this machine."""
    access_days: int = 365
    access_generation: int = 1
    reboot_for_updates: bool = False
    own_machine: bool = True
    """False on a machine that was there before: its logins and updates are not ours to change."""
    https: bool = True
    """Send browsers from port 80 to 443."""


def k3s_urls(version: str, mirror: str, binary_url: str | None) -> tuple[str, ...]:
    """Return where to download the k3s binary, in order; the checksum decides which is good."""
    if binary_url is not None:
        return (binary_url,)
    if mirror == "cn":
        return (f"https://rancher-mirror.rancher.cn/k3s/{version.replace('+', '-')}/k3s",)
    escaped = version.replace("+", "%2B")
    return (f"https://github.com/k3s-io/k3s/releases/download/{escaped}/k3s",)


def firewall(machine: Bootstrap) -> str:
    """Return the host's own packet filter: what pods may not reach, whatever Kubernetes says.

    NetworkPolicies apply a moment after a pod has started, and never between a pod and its own
    node. A drop here is final; everything else is left to Kubernetes and the security group.
    """
    closed = ", ".join((*INNER, machine.vpc_cidr))
    allowed = "".join(
        f"    ip saddr {POD_CIDR} ip daddr {cidr} accept\n" for cidr in machine.host_egress
    )
    return (
        "table inet opencode_fleet\n"
        "delete table inet opencode_fleet\n"
        "table inet opencode_fleet {\n"
        "  chain forward {\n"
        "    type filter hook forward priority -10; policy accept;\n"
        "    ct state established,related accept\n"
        # The cluster's DNS is a pod too, and asks the cloud's resolvers.
        f"    ip saddr {POD_CIDR} ip daddr {{ {_RESOLVERS} }} udp dport 53 accept\n"
        f"    ip saddr {POD_CIDR} ip daddr {{ {_RESOLVERS} }} tcp dport 53 accept\n"
        f"{allowed}"
        f"    ip saddr {POD_CIDR} ip daddr {{ {closed} }} drop\n"
        "  }\n"
        "  chain input {\n"
        "    type filter hook input priority -10; policy accept;\n"
        "    ct state established,related accept\n"
        f'    iifname "cni0" ip saddr {POD_CIDR} tcp dport {API} accept\n'
        '    iifname "cni0" drop\n'
        "  }\n"
        "}\n"
    )


def environment(machine: Bootstrap) -> str:
    """Return what the scripts need to know, as shell assignments."""
    values = {
        "FLEET_DATA": DATA,
        "FLEET_DISK_SERIAL": machine.disk_serial or "",
        "FLEET_K3S_VERSION": machine.k3s_version,
        "FLEET_K3S_SHA256": machine.k3s_sha256,
        "FLEET_K3S_URLS": " ".join(machine.k3s_urls),
        "FLEET_ACCESS_DAYS": str(machine.access_days),
        "FLEET_ACCESS_GENERATION": str(machine.access_generation),
        "FLEET_RESERVE_GIB": str(RESERVE_GIB),
    }
    if machine.disk_may_be_formatted:
        # No line at all otherwise: what a machine is not told, it may not do.
        values["FLEET_DISK_MAY_FORMAT"] = "1"
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def k3s_config(machine: Bootstrap) -> str:
    """Return k3s' own configuration."""
    log = "/var/log/opencode-fleet/audit.log"
    config = {
        # A new name would leave a dead node, and the volumes bound to it, behind.
        "node-name": machine.node_name,
        "data-dir": f"{DATA}/k3s",
        "default-local-storage-path": f"{DATA}/volumes",
        "tls-san": list(machine.sans),
        "write-kubeconfig-mode": "0600",
        # Cannot be switched on later without rewriting every Secret.
        "secrets-encryption": True,
        "protect-kernel-defaults": True,
        "cluster-cidr": POD_CIDR,
        "service-cidr": SERVICE_CIDR,
        "disable": ["metrics-server"],
        "kube-apiserver-arg": [
            f"audit-policy-file={ETC}/audit-policy.yaml",
            f"audit-log-path={log}",
            "audit-log-maxage=30",
            "audit-log-maxbackup=5",
            "audit-log-maxsize=50",
        ],
        "kubelet-arg": [
            "system-reserved=cpu=200m,memory=512Mi,pid=2000",
            f"pod-max-pids={POD_PIDS}",
            "eviction-hard=memory.available<200Mi,nodefs.available<10%,imagefs.available<10%",
        ],
    }
    if machine.system_registry is not None:
        config["system-default-registry"] = machine.system_registry
    return yaml.safe_dump(config, sort_keys=False, width=4096)


def registries(machine: Bootstrap) -> str:
    """Return the mirrors of image registries."""
    mirrors = {
        host: {"endpoint": list(urls)} for host, urls in sorted(machine.registry_mirrors.items())
    }
    return yaml.safe_dump({"mirrors": mirrors}, sort_keys=False, width=4096)


def traefik_values(namespace: str, *, https: bool) -> dict[str, Any]:
    """Return what both ingress controllers are told; `namespace` is the chart's own.

    The arguments do not change with the version of the chart.
    """
    # An answer of a model streams for minutes, and an event stream never ends. A request has to
    # arrive: a sender that dribbles would hold its connection for ever.
    timeouts = [
        f"--entryPoints.{entry}.transport.respondingTimeouts.{kind}Timeout={value}"
        for entry in ("web", "websecure")
        for kind, value in (("read", "120s"), ("write", "0s"), ("idle", "180s"))
    ]
    if not https:
        return {"additionalArguments": timeouts}
    return {
        "additionalArguments": [
            *timeouts,
            "--entryPoints.web.http.redirections.entryPoint.to=:443",
            "--entryPoints.web.http.redirections.entryPoint.scheme=https",
            f"--entryPoints.websecure.http.middlewares={namespace}-fleet-hsts@kubernetescrd",
        ],
        # Half a year. Browsers heed it only where they trust the certificate.
        "extraObjects": [
            {
                "apiVersion": "traefik.io/v1alpha1",
                "kind": "Middleware",
                "metadata": {"name": "fleet-hsts", "namespace": namespace},
                "spec": {"headers": {"stsSeconds": 15552000, "forceSTSHeader": True}},
            }
        ],
    }


def traefik(machine: Bootstrap) -> str:
    """Return the settings of the ingress controller."""
    namespace = "kube-system"
    values = traefik_values(namespace, https=machine.https)
    manifest = {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChartConfig",
        "metadata": {"name": "traefik", "namespace": namespace},
        "spec": {"valuesContent": yaml.safe_dump(values, width=4096)},
    }
    return yaml.safe_dump(manifest, sort_keys=False, width=4096)


def updates(machine: Bootstrap) -> str:
    """Return the settings of unattended security updates."""
    reboot = json.dumps(str(machine.reboot_for_updates).lower())
    return (
        'APT::Periodic::Update-Package-Lists "1";\n'
        'APT::Periodic::Unattended-Upgrade "1";\n'
        'APT::Periodic::AutocleanInterval "7";\n'
        f"Unattended-Upgrade::Automatic-Reboot {reboot};\n"
        'Unattended-Upgrade::Automatic-Reboot-Time "04:00";\n'
    )
