"""Address arithmetic: overlaps, division of a VPC, pod addresses, names made of an address.

Pure functions over CIDR text. Leaves out: which networks a stack has (`network_plan`) and the
wording of problems (`rules`).
"""

from __future__ import annotations

import ipaddress
import math

Network = ipaddress.IPv4Network

# Alibaba's internal services (metadata at 100.100.100.200, resolvers, mirrors), loopback,
# link-local and multicast: a VPC that overlaps them loses them or is refused.
INNER = ("100.64.0.0/10", "169.254.0.0/16")
RESERVED = (*INNER, "127.0.0.0/8", "224.0.0.0/4")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
# The first address and the last three of a vSwitch are the cloud's.
VSWITCH_RESERVED = 4
SMALLEST_VSWITCH = 29
LARGEST_VPC = 8


def network(cidr: str) -> Network:
    """Return `cidr` as an IPv4 network; raises ValueError when it is none."""
    return ipaddress.IPv4Network(cidr)


def overlap(one: str, other: str) -> bool:
    """Tell whether two networks share an address."""
    return network(one).overlaps(network(other))


def inside(inner: str, outer: str) -> bool:
    """Tell whether all of `inner` lies in `outer`."""
    return network(inner).subnet_of(network(outer))


def is_private(cidr: str) -> bool:
    """Tell whether all of `cidr` lies in one of the three private ranges."""
    return any(inside(cidr, block) for block in PRIVATE)


def overlaps_reserved(cidr: str) -> str | None:
    """Return the reserved range that `cidr` meets, if any."""
    return next((block for block in RESERVED if overlap(cidr, block)), None)


def usable(cidr: str) -> int:
    """Return how many addresses of a vSwitch are left for machines and pods."""
    return max(network(cidr).num_addresses - VSWITCH_RESERVED, 0)


def divide(cidr: str, parts: int) -> tuple[str, ...]:
    """Cut `cidr` into `parts` equal networks (the next power of two; the rest stays free).

    Raises ValueError when the parts would be smaller than a vSwitch may be.
    """
    whole = network(cidr)
    prefix = whole.prefixlen + math.ceil(math.log2(parts)) if parts > 1 else whole.prefixlen
    if prefix > SMALLEST_VSWITCH:
        raise ValueError(f"{cidr} cannot hold {parts} vSwitches of at least /{SMALLEST_VSWITCH}")
    return tuple(str(part) for part in list(whole.subnets(new_prefix=prefix))[:parts])


def ip_domain(address: str) -> str:
    """Return a name that resolves to `address` without any zone of one's own (sslip.io)."""
    return f"{ipaddress.IPv4Address(address)!s}".replace(".", "-") + ".sslip.io"


def record_name(host: str, zone: str) -> str:
    """Return `host` relative to the DNS `zone` (`@` for the zone itself).

    Raises ValueError when `host` lies outside of the zone.
    """
    if host == zone:
        return "@"
    if not host.endswith(f".{zone}"):
        raise ValueError(f"{host} is not in the zone {zone}")
    return host.removesuffix(f".{zone}")
