"""Address arithmetic, and what it makes of a VPC."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.alicloud import addresses
from fleet.alicloud.instance_types import Size, size_of
from fleet.alicloud.network_plan import Opening, openings, switches
from fleet.alicloud.regions import zone_in_region
from tests.support.clusters import ack, vm


def _vpc(prefix: int, third: int) -> str:
    return str(ipaddress.ip_network((f"10.{third % 256}.{third // 256}.0", prefix), strict=False))


VPCS = st.builds(_vpc, st.integers(8, 24), st.integers(0, 0xFFFF))


@given(vpc=VPCS, parts=st.integers(min_value=1, max_value=16))
def test_parts_lie_inside_and_never_overlap(vpc: str, parts: int) -> None:
    made = addresses.divide(vpc, parts)
    assert len(made) == parts
    assert all(addresses.inside(part, vpc) for part in made)
    assert not any(
        addresses.overlap(one, other) for n, one in enumerate(made) for other in made[n + 1 :]
    )


def test_a_network_too_small_to_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match=r"172\.20\.0\.0/28 cannot hold 8 vSwitches"):
        addresses.divide("172.20.0.0/28", 8)


def test_a_zone_added_later_moves_no_switch() -> None:
    before = {(s.role, s.zone): s.cidr for s in switches(ack())}
    after = {
        (s.role, s.zone): s.cidr
        for s in switches(ack(zones=["ap-southeast-1b", "ap-southeast-1c", "ap-southeast-1a"]))
    }
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("cidr", "met"),
    [
        ("100.100.0.0/16", "100.64.0.0/10"),
        ("169.254.1.0/24", "169.254.0.0/16"),
        ("0.0.0.0/0", "100.64.0.0/10"),
        ("10.0.0.0/8", None),
    ],
)
def test_networks_of_the_cloud_itself_are_known(cidr: str, met: str | None) -> None:
    assert addresses.overlaps_reserved(cidr) == met


def test_the_clouds_own_four_addresses_of_a_switch_are_not_usable() -> None:
    assert addresses.usable("172.20.0.0/24") == 252
    assert addresses.usable("172.20.0.0/31") == 0


def test_an_address_is_its_own_name() -> None:
    assert addresses.ip_domain("198.51.100.10") == "198-51-100-10.sslip.io"


@pytest.mark.parametrize(
    ("host", "zone", "name"),
    [
        ("*.fleet.example.com", "example.com", "*.fleet"),
        ("example.com", "example.com", "@"),
        ("a.b.example.com", "b.example.com", "a"),
    ],
)
def test_records_are_relative_to_their_zone(host: str, zone: str, name: str) -> None:
    assert addresses.record_name(host, zone) == name


def test_a_name_that_only_ends_alike_is_not_in_the_zone() -> None:
    with pytest.raises(ValueError, match="not in the zone"):
        addresses.record_name("badexample.com", "example.com")


@pytest.mark.parametrize(
    ("instance_type", "size"),
    [
        ("ecs.e-c1m1.large", Size(2, 2)),
        ("ecs.e-c1m2.large", Size(2, 4)),
        ("ecs.g7.large", Size(2, 8)),
        ("ecs.g7.xlarge", Size(4, 16)),
        ("ecs.g9i.2xlarge", Size(8, 32)),
        ("ecs.c7a.8xlarge", Size(32, 64)),
        ("ecs.r8i.xlarge", Size(4, 32)),
        ("ecs.u1-c1m4.large", Size(2, 8)),
        ("ecs.gn6i-c4g1.xlarge", None),
        ("ecs.ebmg7.32xlarge", None),
        ("ecs.t6-c1m1.large", None),
    ],
)
def test_a_types_size_is_read_off_its_name(instance_type: str, size: Size | None) -> None:
    assert size_of(instance_type) == size


@pytest.mark.parametrize(
    ("zone", "region", "inside"),
    [
        ("ap-southeast-1c", "ap-southeast-1", True),
        ("cn-hongkong-b", "cn-hongkong", True),
        ("ap-southeast-3a", "ap-southeast-1", False),
        ("ap-southeast-1", "ap-southeast-1", False),
        ("ap-southeast-1cc", "ap-southeast-1", False),
    ],
)
def test_a_zone_is_its_region_and_a_letter(zone: str, region: str, inside: bool) -> None:
    assert zone_in_region(zone, region) is inside


def test_each_port_is_opened_once_to_each_network() -> None:
    twice = vm(webCidrs=["0.0.0.0/0", "0.0.0.0/0"], network={"acmeOpen": True})
    found = openings(twice)
    assert len(found) == len({(one.port, one.cidr) for one in found})
    assert Opening(80, "0.0.0.0/0", "workspaces") in found
