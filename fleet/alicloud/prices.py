"""Prices for estimates, with where each comes from and when it was noted.

List prices differ by region, account site and day; nothing here is an offer. To add an instance
type: put its list price an hour into `INSTANCES`, or write `priceCnyHour` beside the type in the
stack file. Leaves out: adding up (`cost`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

NOTED = "2026-11-21"
CURRENCY = "CNY"
WHERE = "Hong Kong and regions outside of mainland China, pay as you go"
HOURS_A_MONTH = 730
WEEK_HOURS = 168

Basis = Literal["reference", "estimate", "yours"]


class Price(NamedTuple):
    """An amount in CNY, and how far to trust it."""

    amount: float
    basis: Basis


# Prices of an hour.
INSTANCES = MappingProxyType(
    {
        "ecs.e-c1m1.large": Price(0.08, "reference"),
        "ecs.e-c1m2.large": Price(0.15, "reference"),
        "ecs.g7.large": Price(0.52, "reference"),
        "ecs.g7.xlarge": Price(1.04, "reference"),
    }
)
# Prices of a public address for an hour, of a GB of outgoing traffic, and of a GiB on disks, in
# snapshots and in shared files for a month.
ADDRESS_HOUR = Price(0.02, "reference")
TRAFFIC_GB = Price(0.8, "reference")
DISK_GIB = MappingProxyType(
    {
        "cloud_essd": Price(1.0, "estimate"),
        "cloud_essd_entry": Price(0.75, "estimate"),
        "cloud_auto": Price(1.0, "estimate"),
    }
)
SNAPSHOT_GIB = Price(0.12, "estimate")
NAS_GIB = MappingProxyType(
    {"Capacity": Price(0.35, "estimate"), "Performance": Price(1.85, "estimate")}
)
# Prices of an hour.
ACK_HOUR = MappingProxyType(
    {"ack.pro.small": Price(0.64, "estimate"), "ack.standard": Price(0.0, "estimate")}
)
NAT_HOUR = Price(0.3, "estimate")
BALANCER_HOUR = Price(0.1, "estimate")
# What spare capacity costs, as a share of the list price; it varies by the hour.
SPOT_SHARE = Price(0.3, "estimate")
# Share of a disk that changes enough to be stored again in its snapshots.
SNAPSHOT_SHARE = 0.3
EGRESS_GB_A_USER = 5.0
