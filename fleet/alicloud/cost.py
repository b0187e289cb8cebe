"""What an environment costs a month: each part, in total, a user; on demand, spot, scheduled.

Pure arithmetic over the `cluster` key and `prices`. Leaves out: model tokens, DNS, Log Service and
discounts, which the report says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.alicloud import prices
from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.config_vm import DataDisk
from fleet.alicloud.prices import Basis, Price

_MONTH = prices.HOURS_A_MONTH


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """One part; amounts are CNY a month."""

    item: str
    quantity: str
    amount: float | None
    """None when the price is not known."""
    peak: float | None = None
    """With every pool at its largest; None when that changes nothing."""
    basis: Basis
    machine: bool = False
    """Whether it is CPU and memory: what spot and a schedule make cheaper."""


@dataclass(frozen=True, kw_only=True)
class CostReport:
    """A month's estimate."""

    lines: tuple[CostLine, ...]
    users: int
    scheduled_share: float | None
    """Share of the week that a schedule lets the machine run."""
    assumptions: tuple[str, ...]

    @property
    def on_demand(self) -> float:
        """Total, running all the time at list price."""
        return sum(line.amount or 0 for line in self.lines)

    @property
    def peak(self) -> float:
        """Total with every node pool at its largest."""
        return sum(line.amount or 0 if line.peak is None else line.peak for line in self.lines)

    @property
    def spot(self) -> float:
        """Total with machines from spare capacity."""
        return self.on_demand - self._machines * (1 - prices.SPOT_SHARE.amount)

    @property
    def scheduled(self) -> float | None:
        """Total with the schedule; disks and address cost the same while it is stopped."""
        if self.scheduled_share is None:
            return None
        return self.on_demand - self._machines * (1 - self.scheduled_share)

    @property
    def a_user(self) -> float | None:
        """On demand, divided by users."""
        return self.on_demand / self.users if self.users else None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Parts without a price; every total is too low by them."""
        return tuple(line.item for line in self.lines if line.amount is None)

    @property
    def _machines(self) -> float:
        return sum(line.amount or 0 for line in self.lines if line.machine)


def cost_report(
    cluster: VmCluster | AckCluster,
    users: int,
    storage_gib: float = 0,
    egress_gb_a_user: float = prices.EGRESS_GB_A_USER,
) -> CostReport:
    """Estimate a month; `storage_gib` is the sum of all users' claims."""
    parts = _vm(cluster) if isinstance(cluster, VmCluster) else _ack(cluster, storage_gib)
    schedule = cluster.schedule if isinstance(cluster, VmCluster) else None
    return CostReport(
        lines=(*parts, *_shared(cluster, users, egress_gb_a_user)),
        users=users,
        scheduled_share=schedule.hours_per_week / prices.WEEK_HOURS if schedule else None,
        assumptions=_assumptions(cluster, egress_gb_a_user),
    )


def _vm(cluster: VmCluster) -> Iterator[CostLine]:
    instance = cluster.instance
    if instance.id is None:
        price = _instance_price(instance.type, instance.price_cny_hour)
        yield _hourly(f"instance {instance.type}", "1", price, machine=True)
        disk = instance.system_disk
        yield _gib("boot disk", disk.size_gib, prices.DISK_GIB[disk.category])
        if cluster.network.address.id is None:
            yield _hourly("public address", "1", prices.ADDRESS_HOUR)
    if cluster.data_disk is not None and cluster.data_disk.id is None:
        yield from _data_disk(cluster.data_disk)


def _data_disk(disk: DataDisk) -> Iterator[CostLine]:
    yield _gib("data disk", disk.size_gib, prices.DISK_GIB[disk.category])
    if disk.snapshot_days:
        stored = disk.size_gib * (1 + prices.SNAPSHOT_SHARE)
        yield _gib(f"snapshots of {disk.snapshot_days} days", stored, prices.SNAPSHOT_GIB)


def _ack(cluster: AckCluster, storage_gib: float) -> Iterator[CostLine]:
    spec = cluster.control_plane.spec
    yield _hourly(f"control plane {spec}", "1", prices.ACK_HOUR[spec])
    for pool in cluster.node_pools:
        price = _instance_price(pool.types[0], pool.price_cny_hour)
        if pool.spot and price is not None:
            price = Price(price.amount * prices.SPOT_SHARE.amount, "estimate")
        each = price.amount * _MONTH if price else None
        yield CostLine(
            item=f"nodes {pool.name}: {pool.types[0]}{' (spot)' if pool.spot else ''}",
            quantity=f"{pool.min_nodes} to {pool.max_nodes}",
            amount=None if each is None else each * pool.min_nodes,
            peak=None if each is None else each * pool.max_nodes,
            basis=price.basis if price else "estimate",
            machine=not pool.spot,
        )
        disk = prices.DISK_GIB["cloud_essd"]
        yield CostLine(
            item=f"boot disks {pool.name}",
            quantity=f"{pool.system_disk_gib} GiB a node",
            amount=pool.system_disk_gib * pool.min_nodes * disk.amount,
            peak=pool.system_disk_gib * pool.max_nodes * disk.amount,
            basis=disk.basis,
        )
    if storage_gib:
        yield _gib("users' disks", storage_gib, prices.DISK_GIB["cloud_essd"])
    yield _hourly("load balancer", "1", prices.BALANCER_HOUR)
    if cluster.network.reuse is None:
        yield _hourly("NAT gateway", "1", prices.NAT_HOUR)
        yield _hourly("public address of the NAT gateway", "1", prices.ADDRESS_HOUR)


def _shared(
    cluster: VmCluster | AckCluster, users: int, egress_gb_a_user: float
) -> Iterator[CostLine]:
    traffic = users * egress_gb_a_user
    yield CostLine(
        item="traffic out",
        quantity=f"{traffic:g} GB",
        amount=traffic * prices.TRAFFIC_GB.amount,
        basis=prices.TRAFFIC_GB.basis,
    )
    nas = cluster.nas
    if nas is not None and nas.existing is None:
        yield _gib("shared files (NAS)", nas.estimated_gib, prices.NAS_GIB[nas.storage_type])


def _assumptions(cluster: VmCluster | AckCluster, egress_gb_a_user: float) -> tuple[str, ...]:
    assumptions = [
        f"reference prices noted on {prices.NOTED} in {prices.CURRENCY}: {prices.WHERE}",
        f"a month has {prices.HOURS_A_MONTH} hours; {egress_gb_a_user:g} GB go out a user",
        "an amount marked ~ is an estimate: look it up before you rely on it",
        "not counted: model tokens, DNS, Log Service, taxes, discounts, what is reused",
        f"spot: {prices.SPOT_SHARE.amount:.0%} of the list price; it varies, and can run out",
    ]
    if isinstance(cluster, VmCluster):
        assumptions.append("stopped by a schedule, disks, snapshots and the address cost the same")
    else:
        assumptions.append(
            "nodes at the least number of each pool; the peak has every pool at its most"
        )
    if cluster.region not in ("cn-hongkong", "ap-southeast-1"):
        assumptions.append(f"prices of {cluster.region} differ from those noted")
    return tuple(assumptions)


def _instance_price(kind: str, given: float | None) -> Price | None:
    return Price(given, "yours") if given is not None else prices.INSTANCES.get(kind)


def _hourly(item: str, quantity: str, price: Price | None, *, machine: bool = False) -> CostLine:
    return CostLine(
        item=item,
        quantity=quantity,
        amount=price.amount * _MONTH if price else None,
        basis=price.basis if price else "estimate",
        machine=machine,
    )


def _gib(item: str, gib: float, price: Price) -> CostLine:
    return CostLine(
        item=item, quantity=f"{gib:g} GiB", amount=gib * price.amount, basis=price.basis
    )
