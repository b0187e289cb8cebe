"""Address ranges that runtimes never reach, unless one endpoint in them is allowed by name.

Source: IANA special-purpose address registries (RFC 6890 and successors); 100.64.0.0/10 holds
Alibaba Cloud's metadata address 100.100.100.200. The IPv6 list holds their equals, and the prefixes
through which an IPv4 address can be written as IPv6 (mapped, NAT64, 6to4, Teredo).
"""

from __future__ import annotations

import ipaddress

CLOSED_IPV4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
CLOSED_IPV6 = (
    # Reserved whole: unspecified, loopback, IPv4-mapped (which Kubernetes' parser takes for IPv4,
    # so it cannot stand alone), NAT64.
    "::/8",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)

# Where clouds hand out a machine's credentials: Alibaba Cloud, the others, and theirs by IPv6.
METADATA = ("100.100.100.200/32", "169.254.169.254/32", "fd00:ec2::254/128")


def overlaps_private(cidr: str) -> bool:
    """Return whether `cidr` shares an address with a closed range."""
    network = ipaddress.ip_network(cidr)
    return any(
        network.version == closed.version and network.overlaps(closed)
        for closed in map(ipaddress.ip_network, (*CLOSED_IPV4, *CLOSED_IPV6))
    )


def closed_ranges(extra: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the closed (IPv4, IPv6) ranges with `extra` ones added, sorted and collapsed."""
    networks = [ipaddress.ip_network(item) for item in (*CLOSED_IPV4, *CLOSED_IPV6, *extra)]
    four = [item for item in networks if isinstance(item, ipaddress.IPv4Network)]
    six = [item for item in networks if isinstance(item, ipaddress.IPv6Network)]
    return (
        tuple(str(item) for item in ipaddress.collapse_addresses(four)),
        tuple(str(item) for item in ipaddress.collapse_addresses(six)),
    )
