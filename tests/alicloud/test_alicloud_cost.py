"""The monthly estimate: sums by hand, and what it says of itself."""

from __future__ import annotations

import json

import pytest

from fleet.alicloud import prices
from fleet.alicloud.cost import cost_report
from fleet.cli.cost_text import cost_json, cost_text
from tests.support.clusters import ack, vm

PLAIN = {"snapshotDays": 0, "sizeGib": 100}


def test_one_machine_adds_up_by_hand() -> None:
    report = cost_report(vm(dataDisk=PLAIN), users=4, egress_gb_a_user=10)
    # 0.15 an hour, 40 and 100 GiB, address 0.02 an hour, 40 GB out.
    assert report.on_demand == pytest.approx(0.15 * 730 + 40 + 100 + 0.02 * 730 + 40 * 0.8)
    assert report.a_user == pytest.approx(report.on_demand / 4)
    assert report.peak == report.on_demand
    assert report.scheduled is None
    assert report.unknown == ()


def test_spot_makes_only_the_machine_cheaper() -> None:
    report = cost_report(vm(), users=1)
    saved = 0.15 * 730 * (1 - prices.SPOT_SHARE.amount)
    assert report.on_demand - report.spot == pytest.approx(saved)


def test_a_schedule_saves_the_machine_and_not_its_disks() -> None:
    schedule = {"start": "0 8 * * MON-FRI", "stop": "0 20 * * MON-FRI", "hoursPerWeek": 60}
    report = cost_report(vm(schedule=schedule), users=1)
    assert report.scheduled is not None
    assert report.on_demand - report.scheduled == pytest.approx(0.15 * 730 * (1 - 60 / 168))


def test_managed_kubernetes_counts_its_least_and_its_most_nodes() -> None:
    report = cost_report(ack(), users=10, storage_gib=200)
    nodes = next(line for line in report.lines if line.item.startswith("nodes base"))
    assert nodes.amount == pytest.approx(2 * 1.04 * 730)
    assert nodes.peak == pytest.approx(4 * 1.04 * 730)
    assert report.peak - report.on_demand == pytest.approx(2 * (1.04 * 730 + 80))
    items = {line.item for line in report.lines}
    assert {"control plane ack.pro.small", "NAT gateway", "load balancer", "users' disks"} <= items


def test_a_spot_pool_is_not_made_cheaper_twice() -> None:
    pools = [
        {"name": "base", "types": ["ecs.g7.xlarge"], "minNodes": 1, "maxNodes": 1},
        {"name": "spot", "types": ["ecs.g7.large"], "minNodes": 1, "maxNodes": 1, "spot": True},
    ]
    report = cost_report(ack(nodePools=pools), users=1)
    spot = next(line for line in report.lines if line.item.startswith("nodes spot"))
    assert spot.amount == pytest.approx(0.52 * 730 * prices.SPOT_SHARE.amount)
    assert report.on_demand - report.spot == pytest.approx(1.04 * 730 * 0.7)


def test_a_type_without_a_price_is_named_and_can_be_given_one() -> None:
    unknown = cost_report(vm(instance={"type": "ecs.g8i.2xlarge"}), users=1)
    assert unknown.unknown == ("instance ecs.g8i.2xlarge",)
    assert "price not known: instance ecs.g8i.2xlarge; add priceCnyHour" in cost_text(unknown)
    known = cost_report(vm(instance={"type": "ecs.g8i.2xlarge", "priceCnyHour": 2.1}), users=1)
    assert known.unknown == ()
    assert known.lines[0].amount == pytest.approx(2.1 * 730)


def test_what_is_reused_is_not_counted() -> None:
    reused = vm(instance={"id": "i-t4n0abcd1234efgh"}, dataDisk={"id": "d-t4n0abcd1234efgh"})
    assert [line.item for line in cost_report(reused, users=0).lines] == ["traffic out"]
    assert cost_report(reused, users=0).a_user is None


def test_files_are_counted_when_they_are_made_here() -> None:
    report = cost_report(vm(nas={"estimatedGib": 200}), users=1)
    files = next(line for line in report.lines if "NAS" in line.item)
    assert files.amount == pytest.approx(70)
    existing = {"existing": {"server": "0abc-x.ap-southeast-1.nas.aliyuncs.com"}}
    assert not [line for line in cost_report(vm(nas=existing), 1).lines if "NAS" in line.item]


def test_the_text_says_date_currency_and_what_is_missing() -> None:
    text = cost_text(cost_report(vm(), users=3))
    assert text.startswith("A month in CNY\n")
    assert f"reference prices noted on {prices.NOTED}" in text
    assert "not counted: model tokens" in text
    assert "Total on demand" in text
    assert "A user " in text


def test_a_guess_is_marked() -> None:
    lines = cost_text(cost_report(vm(), users=3)).splitlines()
    assert next(line for line in lines if "data disk" in line).endswith("~100")
    assert next(line for line in lines if "instance" in line).endswith(" 110")


def test_the_json_holds_the_same_figures() -> None:
    report = cost_report(ack(), users=7)
    document = json.loads(cost_json(report))
    assert document["onDemand"] == round(report.on_demand, 2)
    assert document["perUser"] == round(report.on_demand / 7, 2)
    assert len(document["lines"]) == len(report.lines)
    assert document["scheduled"] is None


def test_another_regions_prices_are_not_passed_off_as_its_own() -> None:
    far = cost_report(vm(region="eu-central-1", zone="eu-central-1a"), users=1)
    assert "prices of eu-central-1 differ from those noted" in far.assumptions
