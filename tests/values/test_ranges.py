"""Closed address ranges, judged by Python's own registry of special addresses."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.values.ranges import CLOSED_IPV4, CLOSED_IPV6, METADATA, closed_ranges, overlaps_private

CLOSED = [ipaddress.ip_network(item) for item in (*CLOSED_IPV4, *CLOSED_IPV6)]


def closed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address lies in a closed range."""
    return any(network.version == address.version and address in network for network in CLOSED)


def edges() -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses around every border: there lists go wrong, and chance rarely looks."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for network in CLOSED:
        kind = type(network.network_address)
        for address in (network[0], network[-1]):
            numbers = (int(address) + step for step in (-1, 0, 1))
            found += [kind(item) for item in numbers if 0 <= item < 2**network.max_prefixlen]
    return found


@given(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.sampled_from(edges())),
)
def test_every_address_that_is_not_public_is_closed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global:
        assert closed(address)


@pytest.mark.parametrize(
    "address",
    [
        "100.100.100.200",
        "169.254.169.254",
        "169.254.170.2",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address that is tested
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fd00:ec2::254",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "2002:a00:1::1",
        "2001::1",
        "ff02::1",
    ],
)
def test_a_place_that_no_runtime_may_reach_is_closed(address: str) -> None:
    assert closed(ipaddress.ip_address(address))
    assert overlaps_private(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "47.0.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1"]
)
def test_the_internet_stays_open(address: str) -> None:
    assert not closed(ipaddress.ip_address(address))
    assert not overlaps_private(f"{address}/{32 if '.' in address else 128}")


def test_metadata_addresses_are_closed_ones() -> None:
    assert all(closed(ipaddress.ip_network(item)[0]) for item in METADATA)


def test_further_ranges_are_added_sorted_and_merged() -> None:
    four, six = closed_ranges(("47.0.0.0/16", "47.1.0.0/16", "10.1.0.0/16", "2a00::/16"))
    assert "47.0.0.0/15" in four
    assert "10.0.0.0/8" in four
    assert "10.1.0.0/16" not in four
    assert "2a00::/16" in six
    assert list(four) == [str(item) for item in sorted(map(ipaddress.IPv4Network, four))]
    assert closed_ranges(()) == closed_ranges(("10.0.0.0/8",))
