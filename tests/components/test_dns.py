"""Records: which hosts, relative to which zone."""

from __future__ import annotations

import pytest

from tests.support.cloud_world import ADDRESS, declare
from tests.support.clusters import vm

ZONE = {"zone": "example.com"}


def test_a_wildcard_covers_all_users() -> None:
    made = declare(vm(dns=ZONE), hosts=("*.fleet.example.com",), domain="fleet.example.com")
    record = made.one("AlidnsRecord")
    assert record.name == "fleet-test-any.fleet"
    assert record.inputs["domainName"] == "example.com"
    assert record.inputs["rr"] == "*.fleet"
    assert record.inputs["type"] == "A"
    assert record.inputs["value"] == ADDRESS
    assert record.inputs["ttl"] == 600


def test_every_user_can_have_a_record_once() -> None:
    hosts = ("bob.fleet.example.com", "alice.fleet.example.com", "bob.fleet.example.com")
    made = declare(vm(dns=ZONE), hosts=hosts, domain="fleet.example.com")
    assert [r.inputs["rr"] for r in made.of_type("AlidnsRecord")] == ["alice.fleet", "bob.fleet"]


def test_the_zone_itself_can_be_the_host() -> None:
    made = declare(vm(dns=ZONE), hosts=("example.com",), domain="example.com")
    assert made.one("AlidnsRecord").inputs["rr"] == "@"


def test_without_a_zone_there_are_no_records() -> None:
    made = declare(vm(), hosts=("alice.fleet.example.com",), domain="fleet.example.com")
    assert made.of_type("AlidnsRecord") == []


def test_a_host_outside_of_the_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alice\.other\.org is not in the zone example\.com"):
        declare(vm(dns=ZONE), hosts=("alice.other.org",))


def test_records_wait_for_the_address_and_not_for_its_binding() -> None:
    made = declare(vm(dns=ZONE), hosts=("*.fleet.example.com",), domain="fleet.example.com")
    depends = made.one("AlidnsRecord").options.depends_on
    assert made.one("EipAddress").urn in depends
    assert made.one("EipAssociation").urn not in depends
