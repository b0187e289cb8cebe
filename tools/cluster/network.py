"""The cluster's own bridge, its firewall chains and routes.

Pods reach each other, Services and, behind the machine's address, the outside. Nothing outside the
machine reaches the bridge, although the kernel forwards. What Services need on top is kube-proxy's.
"""

import json
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from tools.cluster import addresses
from tools.cluster.commands import attempt, run
from tools.cluster.errors import ClusterError

_NAT, _FILTER = "nat", "filter"
_MASQUERADE, _INPUT, _FORWARD = "OCFLEET-MASQ", "OCFLEET-INPUT", "OCFLEET-FORWARD"
_PODS, _BRIDGE = str(addresses.POD_CIDR), addresses.BRIDGE
_ETHERNET_MTU = 1500
# Chains that no other program of this machine makes while no other Kubernetes runs on it.
_OURS = ("OCFLEET-", "KUBE-")

# (table, chain of ours, built-in chain that jumps to it, rules)
_CHAINS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        _NAT,
        _MASQUERADE,
        "POSTROUTING",
        (f"-s {_PODS} ! -d {_PODS} ! -o {_BRIDGE} -j MASQUERADE",),
    ),
    (
        _FILTER,
        _INPUT,
        "INPUT",
        ("-i lo -j RETURN", f"-i {_BRIDGE} -j ACCEPT", f"-d {_PODS} -j DROP"),
    ),
    (
        _FILTER,
        _FORWARD,
        "FORWARD",
        (
            f"-i {_BRIDGE} -j ACCEPT",
            f"-o {_BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-o {_BRIDGE} -j DROP",
        ),
    ),
)


def overlapping(routes: list[dict[str, Any]]) -> list[str]:
    """Routes of others inside our ranges, as `RANGE on DEVICE`, from `ip -j route`."""
    overlaps: list[str] = []
    for route in routes:
        destination, device = str(route.get("dst", "")), str(route.get("dev", "?"))
        if destination in {"", "default"} or device == _BRIDGE:
            continue
        try:
            other = ip_network(destination)
        except ValueError:
            continue
        ours = (addresses.POD_CIDR, addresses.SERVICE_CIDR)
        if isinstance(other, IPv4Network) and any(other.overlaps(mine) for mine in ours):
            overlaps.append(f"{destination} on {device}")
    return overlaps


def bridge_mtu(links: list[dict[str, Any]], routes: list[dict[str, Any]]) -> int:
    """The MTU for the bridge: that of the default route's device, at most Ethernet's.

    Pods would otherwise send what has to be fragmented or dropped on its way out.
    """
    devices = {str(route.get("dev")) for route in routes if route.get("dst") == "default"}
    known = [int(link["mtu"]) for link in links if link.get("ifname") in devices]
    return min([_ETHERNET_MTU, *known])


def _ip_json(*words: str) -> list[dict[str, Any]]:
    return json.loads(run("network", ["ip", "-4", "-j", *words]) or "[]")


def _device_exists() -> bool:
    return Path("/sys/class/net", _BRIDGE).exists()


def up_bridge() -> int:
    """Make the bridge with its address and the route to the Services; the MTU it has.

    Raises ClusterError when the machine routes our ranges elsewhere.
    """
    routes = _ip_json("route")
    taken = overlapping(routes)
    if taken:
        message = (
            f"network: {', '.join(taken)} overlaps the cluster's {addresses.POD_CIDR} or "
            f"{addresses.SERVICE_CIDR}: another cluster or VPN uses it; stop that one or use its "
            "kubeconfig context instead of the local cluster"
        )
        raise ClusterError(message)
    if not _device_exists():
        run("network", ["ip", "link", "add", _BRIDGE, "type", "bridge"])
    mtu = bridge_mtu(_ip_json("link"), routes)
    length = addresses.POD_CIDR.prefixlen
    run("network", ["ip", "link", "set", _BRIDGE, "mtu", str(mtu), "up"])
    run("network", ["ip", "addr", "replace", f"{addresses.NODE_IP}/{length}", "dev", _BRIDGE])
    # Connections from this machine to Services have a way and a source without a default route too.
    service_route = [str(addresses.SERVICE_CIDR), "dev", _BRIDGE, "src", addresses.NODE_IP]
    run("network", ["ip", "route", "replace", *service_route])
    return mtu


def _iptables(table: str, *words: str) -> bool:
    return attempt(["iptables", "-w", "10", "-t", table, *words]).code == 0


def up_firewall() -> None:
    """Lay the chains of ours, each from empty; safe to repeat."""
    for table, chain, parent, rules in _CHAINS:
        _iptables(table, "-N", chain)
        run("firewall", ["iptables", "-w", "10", "-t", table, "-F", chain])
        for rule in rules:
            run("firewall", ["iptables", "-w", "10", "-t", table, "-A", chain, *rule.split()])
        if not _iptables(table, "-C", parent, "-j", chain):
            run("firewall", ["iptables", "-w", "10", "-t", table, "-I", parent, "-j", chain])


def removal(saved: str) -> str:
    """What iptables-restore needs to take our chains and kube-proxy's out of a saved rule set.

    One step whatever the number of Services; all else stays. Empty when there is nothing of ours.
    """
    table = ""
    script: list[str] = []
    jumps: list[str] = []
    chains: list[str] = []
    for line in saved.splitlines():
        words = line.split()
        if line.startswith("*"):
            table, jumps, chains = line, [], []
        elif line.startswith(":") and words[0][1:].startswith(_OURS):
            chains.append(words[0][1:])
        elif line.startswith("-A ") and not words[1].startswith(_OURS):
            if any(word.startswith(_OURS) for word in words[2:]):
                jumps.append(f"-D {line.removeprefix('-A ')}")
        elif line == "COMMIT" and (jumps or chains):
            emptied = [f":{chain} - [0:0]" for chain in chains]
            script += [table, *emptied, *jumps, *(f"-X {chain}" for chain in chains), "COMMIT"]
    return "".join(f"{line}\n" for line in script)


def down() -> None:
    """Take away chains, routes and bridge; what is not there is not missed.

    kube-proxy's chains go too: the cluster only starts where no other Kubernetes runs.
    """
    for family in ("iptables", "ip6tables"):
        script = removal(attempt([f"{family}-save"]).out)
        if script:
            run("firewall", [f"{family}-restore", "-w", "10", "--noflush"], stdin=script)
    if _device_exists():
        run("network", ["ip", "link", "delete", _BRIDGE])


def leftovers() -> list[str]:
    """What of the cluster's network is still there."""
    families = ("iptables", "ip6tables")
    chains = [f"{name} rules" for name in families if removal(attempt([f"{name}-save"]).out)]
    return [*([f"bridge {_BRIDGE}"] if _device_exists() else []), *chains]
