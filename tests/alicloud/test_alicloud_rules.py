"""Every rule of the `cluster` key has an input that breaks it, and its message is read.

Long because there are as many rules.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.alicloud.regions import REGIONS
from fleet.alicloud.rules import cloud_problems
from tests.support.clusters import ack, vm

DOMAIN = "fleet.example.com"


def _lines(cluster: VmCluster | AckCluster, domain: str = DOMAIN) -> list[str]:
    return [str(problem) for problem in cloud_problems(cluster, domain)]


def test_the_smallest_clusters_break_no_rule() -> None:
    assert _lines(vm()) == []
    assert _lines(ack()) == []


POOL = {"name": "base", "types": ["ecs.g7.xlarge"]}
REUSE = {"vpcId": "vpc-t4n0abcd1234efgh", "vswitchIds": ["vsw-t4n0abcd1234efgh"]}
MACHINE = "i-t4n0abcd1234efgh"
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGludmVudGVkIGtleSBvZiBub2JvZHksIDMyIGJ5dGVz"
LISTED = ", ".join(sorted(REGIONS))
VM_CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"region": "ap-southeast-9", "zone": "ap-southeast-9a"},
        "cluster.region: ap-southeast-9: this region is not in the list of regions: did you mean "
        f"ap-southeast-7? use one of {LISTED}, or set cluster.allowUnlistedRegion: true for one "
        "that has opened since",
    ),
    (
        {"allowUnlistedRegion": True},
        "cluster.allowUnlistedRegion: true: the region ap-southeast-1 is listed: drop it",
    ),
    (
        {"region": "cn-lanzhou", "zone": "cn-lanzhou-a", "allowUnlistedRegion": True},
        "cluster.k3s.mirror: none: the k3s release page is not reliably reached from cn-lanzhou: "
        "write mirror: cn, or binaryUrl with a mirror of your own",
    ),
    (
        {"zone": "cn-hongkong-b"},
        "cluster.zone: cn-hongkong-b: this zone is not in the region ap-southeast-1: "
        "write ap-southeast-1 and a letter, as in the console's list of zones",
    ),
    (
        {"adminCidrs": ["0.0.0.0/0"]},
        "cluster.adminCidrs[0]: 0.0.0.0/0: this opens SSH and the Kubernetes API to the world: "
        "write your own public address with /32, or set cluster.network.allowOpenAdmin: true",
    ),
    (
        {"adminCidrs": ["128.0.0.0/1"]},
        "cluster.adminCidrs[0]: 128.0.0.0/1: this opens SSH and the Kubernetes API to the world: "
        "write your own public address with /32, or set cluster.network.allowOpenAdmin: true",
    ),
    (
        {"network": {"vpcCidr": "8.8.0.0/16"}},
        "cluster.network.vpcCidr: 8.8.0.0/16: a VPC is a private network of /8 to /24: "
        "write one inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
    ),
    (
        {"network": {"vpcCidr": "10.40.0.0/13"}},
        "cluster.network.vpcCidr: 10.40.0.0/13: this overlaps 10.42.0.0/16, which k3s uses inside "
        "the machine (cluster.k3s.podCidr): write 172.20.0.0/16",
    ),
    (
        {"instance": {"type": "ecs.g6r.large"}},
        "cluster.instance.type: ecs.g6r.large: this is an ARM machine, k3s is pinned for amd64: "
        "use e.g. ecs.g7.large",
    ),
    (
        {"instance": {"image": "ubuntu_24_04_arm64_20G_alibase_20260916.vhd"}},
        "cluster.instance.image: ubuntu_24_04_arm64_20G_alibase_20260916.vhd: ecs.e-c1m2.large is "
        "an amd64 machine, this image is for ARM: use the image of the same name with x64 in it",
    ),
    (
        {"instance": {"type": "ecs.g7.large"}, "dataDisk": {"category": "cloud_essd_entry"}},
        "cluster.dataDisk.category: cloud_essd_entry: only economy and universal machines (e, u1) "
        "take such disks, not ecs.g7.large: write cloud_essd",
    ),
    (
        {"network": {"acmeOpen": True}},
        "cluster.network.acmeOpen: true: nothing is proven by HTTP here, so nobody asks at port "
        "80: drop it, or add cluster.certificates without dns01",
    ),
    (
        {"network": {"allowOpenAdmin": True}},
        "cluster.network.allowOpenAdmin: true: adminCidrs open nothing that would need it: drop it",
    ),
    (
        {"k3s": {"podCidr": "10.42.0.0/16", "serviceCidr": "10.42.128.0/17"}},
        "cluster.k3s.serviceCidr: 10.42.128.0/17: this overlaps cluster.k3s.podCidr "
        "10.42.0.0/16: write another private network, e.g. 10.43.0.0/16",
    ),
    (
        {"k3s": {"podCidr": "47.0.0.0/16"}},
        "cluster.k3s.podCidr: 47.0.0.0/16: this is a private network of /22 or larger: write it "
        "like 10.42.0.0/16",
    ),
    (
        {"instance": {"id": "i-t4n0abcd1234efgh", "generation": 2}},
        "cluster.instance.generation: given: a machine that you already have keeps its disks, its "
        "system and its network: drop generation, or drop cluster.instance.id",
    ),
    (
        {"instance": {"id": "i-t4n0abcd1234efgh"}, "dataDisk": {"sizeGib": 100}},
        "cluster.dataDisk: given: a machine that you already have keeps its disks, its system and "
        "its network: drop dataDisk, or drop cluster.instance.id",
    ),
    (
        {"instance": {"type": "ecs.e-c1m1.large"}},
        "cluster.instance.type: ecs.e-c1m1.large: 2 CPUs and 2 GiB cannot hold k3s and "
        "workspaces; it takes 2 and 4: use ecs.e-c1m2.large or larger",
    ),
    (
        {"instance": {"type": "ecs.gn6i-c4g1.xlarge"}},
        "cluster.instance.type: ecs.gn6i-c4g1.xlarge: the name does not tell this type's size: "
        "add cluster.instance.size: {cpus: …, memoryGib: …}",
    ),
    (
        {"instance": {"type": "ecs.g8y.xlarge"}},
        "cluster.instance.type: ecs.g8y.xlarge: this is an ARM machine, k3s is pinned for amd64: "
        "use e.g. ecs.g7.large",
    ),
    (
        {"k3s": {"version": "v1.35.6+k3s1"}},
        "cluster.k3s.sha256: 267d18da7b3c837d82283f0588fb9031a8a6ff3c0dac772c260c40852ce515f6: "
        "this is the checksum of v1.35.5+k3s1, not of v1.35.6+k3s1: copy the line of the file k3s "
        "out of that release's sha256sum-amd64.txt",
    ),
    (
        {"region": "cn-hangzhou", "zone": "cn-hangzhou-h"},
        "cluster.k3s.mirror: none: the k3s release page is not reliably reached from cn-hangzhou: "
        "write mirror: cn, or binaryUrl with a mirror of your own",
    ),
    (
        {"network": {"reuse": {**REUSE, "podVswitchIds": ["vsw-t4n0abcd1234efgi"]}}},
        "cluster.network.reuse: vsw-t4n0abcd1234efgh, vsw-t4n0abcd1234efgi: one machine has one "
        "vSwitch, and its pods none: keep one of vswitchIds, in ap-southeast-1c, and drop "
        "podVswitchIds",
    ),
    (
        {"network": {"hostEgress": ["8.8.8.0/24"]}},
        "cluster.network.hostEgress[0]: 8.8.8.0/24: only private networks are closed to pods, and "
        "this is not one: drop it",
    ),
    (
        {
            "instance": {"power": "stopped"},
            "schedule": {"start": "0 8 * * *", "stop": "0 20 * * *", "hoursPerWeek": 84},
        },
        "cluster.instance.power: stopped: the schedule and power would undo each other: "
        "drop power, or drop cluster.schedule",
    ),
    (
        {"production": True, "instance": {"spot": {}}},
        "cluster.production: true: a spot machine cannot be protected from deletion: "
        "drop cluster.instance.spot, or set production: false",
    ),
    (
        {"production": True, "dataDisk": None},
        "cluster.dataDisk: null: production keeps users' work on a disk that outlives the machine: "
        "write dataDisk: {sizeGib: 100}",
    ),
    (
        {"instance": {"id": MACHINE, "power": "running"}},
        "cluster.instance.power: running: a machine that you already have is not changed: "
        "drop power, or drop cluster.instance.id",
    ),
    (
        {"instance": {"id": MACHINE}, "network": {"reuse": REUSE}},
        f"cluster.network: {MACHINE}: a machine that you already have brings its network and its "
        "address along: drop cluster.network.reuse and cluster.network.address",
    ),
    (
        {"certificates": {"email": "ops@example.com"}},
        "cluster.certificates.dns01: not set: proof by HTTP needs port 80 open to the world: "
        "set cluster.network.acmeOpen: true (vm), add 0.0.0.0/0 to cluster.webCidrs, "
        "or prove by DNS with dns01",
    ),
    (
        {"dns": {"zone": "other.org"}},
        "access.domain: fleet.example.com: this is outside of cluster.dns.zone other.org: "
        "write a name that ends in .other.org, or leave cluster.dns out",
    ),
    (
        {"tags": {f"tag-{n}": "x" for n in range(20)}},
        "cluster.tags: 20 tags: a resource holds 20, one of them is this program's: keep 19",
    ),
    (
        {"tags": {"acs:team": "x"}},
        "cluster.tags: acs:team: the cloud keeps names of this kind to itself: rename the tag",
    ),
    (
        {"webCidrs": [f"198.51.{n}.0/24" for n in range(100)]},
        "cluster.webCidrs: 100 networks: with adminCidrs they take 202 rules, a security group "
        "holds 200: join them into larger networks",
    ),
    (
        {"instance": {"image": "win2022_21H2_x64_dtc_en-us_40G_alibase_20260916.vhd"}},
        "cluster.instance.image: win2022_21H2_x64_dtc_en-us_40G_alibase_20260916.vhd: the machine "
        "is set up with apt, which this system does not have: use an Ubuntu or Debian image, as in "
        "the console's list of public images",
    ),
    (
        {"instance": {"image": "aliyun_3_x64_20G_alibase_20260916.vhd"}},
        "cluster.instance.image: aliyun_3_x64_20G_alibase_20260916.vhd: the machine is set up with "
        "apt, which this system does not have: use an Ubuntu or Debian image, as in the console's "
        "list of public images",
    ),
]
ACK_CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"webCidrs": [f"198.{n // 256}.{n % 256}.0/24" for n in range(301)]},
        "cluster.webCidrs: 301 networks: an access list holds 300: join them into larger networks",
    ),
    (
        {"zones": ["ap-southeast-1b", "eu-central-1a"]},
        "cluster.zones[1]: eu-central-1a: this zone is not in the region ap-southeast-1: "
        "write ap-southeast-1 and a letter, as in the console's list of zones",
    ),
    (
        {"zones": ["ap-southeast-1b", "ap-southeast-1b"]},
        "cluster.zones: ap-southeast-1b: this zone is named twice: name it once",
    ),
    (
        {"network": {"vpcCidr": "172.20.0.0/22"}, "nodePools": [{**POOL, "maxNodes": 12}]},
        "cluster.network.vpcCidr: 172.20.0.0/22: 12 nodes with 30 pods take 360 addresses, "
        "this leaves 248 for pods: write a larger network, e.g. 172.20.0.0/16, or lower maxNodes",
    ),
    (
        {"network": {"vpcCidr": "172.20.0.0/24"}},
        "cluster.network.vpcCidr: 172.20.0.0/24: 4 nodes with 30 pods take 120 addresses, "
        "this leaves 56 for pods: write a larger network, e.g. 172.20.0.0/16, or lower maxNodes",
    ),
    (
        {"controlPlane": {"serviceCidr": "172.20.16.0/20"}},
        "cluster.controlPlane.serviceCidr: 172.20.16.0/20: this overlaps cluster.network.vpcCidr "
        "172.20.0.0/16: write a private network outside of the VPC, e.g. 192.168.0.0/20",
    ),
    (
        {"controlPlane": {"serviceCidr": "192.168.0.0/28"}},
        "cluster.controlPlane.serviceCidr: 192.168.0.0/28: Services take a network of /12 to /24: "
        "write 192.168.0.0/20",
    ),
    (
        {"controlPlane": {"serviceCidr": "100.64.0.0/20"}},
        "cluster.controlPlane.serviceCidr: 100.64.0.0/20: this overlaps 100.64.0.0/10, which the "
        "cloud uses itself: write 192.168.0.0/20",
    ),
    (
        {"nodePools": [{"name": "base", "types": ["ecs.e-c1m1.large"]}]},
        "cluster.nodePools[0].types: ecs.e-c1m1.large: 2 CPUs and 2 GiB are too small for a node; "
        "it takes 4 and 8: use e.g. ecs.g7.xlarge",
    ),
    (
        {"region": "cn-beijing", "zones": ["cn-beijing-h"]},
        "cluster.charts.traefik: https://traefik.github.io/charts: this is not reliably reached "
        "from cn-beijing: write a mirror that the nodes reach",
    ),
    (
        {"region": "cn-beijing", "zones": ["cn-beijing-h"]},
        "cluster.charts.registry: docker.io: this is not reliably reached from cn-beijing: write a "
        "mirror that the nodes reach",
    ),
    (
        {"nodePools": [{"name": "base", "types": ["ecs.g7.large"]}]},
        "cluster.nodePools[0].types: ecs.g7.large: 2 CPUs and 8 GiB are too small for a node; "
        "it takes 4 and 8: use e.g. ecs.g7.xlarge",
    ),
    (
        {"network": {"address": {"id": "eip-t4n0abcd1234efgh"}}},
        "cluster.network.address.id: eip-t4n0abcd1234efgh: it is for one machine (kind vm): here "
        "users come in by a load balancer, and what pods may reach stands under network.allow: "
        "drop it",
    ),
    (
        {"network": {"hostEgress": ["10.1.0.0/16"]}},
        "cluster.network.hostEgress: 10.1.0.0/16: it is for one machine (kind vm): here users "
        "come in by a load balancer, and what pods may reach stands under network.allow: drop it",
    ),
    (
        {"network": {"allowOpenAdmin": True}},
        "cluster.network.allowOpenAdmin: true: without controlPlane.publicEndpoint nothing is "
        "open: drop it",
    ),
    (
        {"nodePools": [{"name": "base", "types": ["ecs.ebmg7.32xlarge"]}]},
        "cluster.nodePools[0].types: ecs.ebmg7.32xlarge: the name does not tell this type's size: "
        "add size: {cpus: …, memoryGib: …} to the pool base",
    ),
    (
        {"nodePools": [POOL, POOL]},
        "cluster.nodePools: base: two pools have this name: rename one",
    ),
    (
        {"nodePools": [{**POOL, "spot": True}]},
        "cluster.nodePools: base: the cluster's own pods need a node that is always there: "
        "give one pool without spot minNodes of 1 or more",
    ),
    (
        {"controlPlane": {"publicEndpoint": True}},
        "cluster.controlPlane.publicEndpoint: true: the public API address of ACK answers "
        "everybody, adminCidrs cannot limit it: run from inside the VPC with publicEndpoint: "
        "false, or accept it with cluster.network.allowOpenAdmin: true",
    ),
    (
        {"network": {"acmeOpen": True}},
        "cluster.network.acmeOpen: true: one load balancer with one access list serves both ports "
        "here: drop it; add 0.0.0.0/0 to cluster.webCidrs, or use certificates.dns01",
    ),
    (
        {"network": {"reuse": REUSE}},
        "cluster.network.reuse.vswitchIds: vsw-t4n0abcd1234efgh: 2 zones take as many vSwitches "
        "for nodes and for pods: name one vSwitch a zone, in the order of cluster.zones",
    ),
]


@pytest.mark.parametrize(("changes", "line"), VM_CASES)
def test_a_broken_rule_of_one_machine_is_said_in_full(changes: dict[str, Any], line: str) -> None:
    assert line in _lines(vm(**changes))


@pytest.mark.parametrize(("changes", "line"), ACK_CASES)
def test_a_broken_rule_of_managed_kubernetes_is_said_in_full(
    changes: dict[str, Any], line: str
) -> None:
    assert line in _lines(ack(**changes))


def test_what_just_fits_is_accepted() -> None:
    tags = {f"tag-{n}": "x" for n in range(19)}
    assert _lines(vm(tags=tags, webCidrs=[f"198.51.{n}.0/24" for n in range(99)])) == []
    assert _lines(vm(instance={"image": "m-t4n0abcd1234efgh"})) == []
    assert _lines(vm(instance={"image": "debian_12_6_x64_20G_alibase_20260916.vhd"})) == []
    assert _lines(ack(webCidrs=[f"198.{n // 256}.{n % 256}.0/24" for n in range(300)])) == []


def test_openings_can_be_accepted_by_name() -> None:
    opened = {"adminCidrs": ["0.0.0.0/0"], "network": {"allowOpenAdmin": True}}
    assert _lines(vm(**opened)) == []
    public = {"controlPlane": {"publicEndpoint": True}, "network": {"allowOpenAdmin": True}}
    assert _lines(ack(**public)) == []


def test_certificates_by_http_or_dns_are_accepted_when_they_can_work() -> None:
    by_http = {"email": "ops@example.com"}
    by_dns = {**by_http, "dns01": {"groupName": "acme.example.com", "secretName": "alidns"}}
    assert _lines(vm(certificates=by_http, network={"acmeOpen": True})) == []
    assert _lines(vm(certificates=by_http, webCidrs=["0.0.0.0/0"])) == []
    assert _lines(ack(certificates=by_dns)) == []


@pytest.mark.parametrize(
    ("region", "zone"),
    [("cn-wulanchabu", "cn-wulanchabu-a"), ("na-south-1", "na-south-1a")],
)
def test_newer_regions_are_listed(region: str, zone: str) -> None:
    assert _lines(vm(region=region, zone=zone, k3s={"mirror": "cn"})) == []


def test_a_region_that_opened_since_takes_one_key() -> None:
    there = {"region": "sa-east-1", "zone": "sa-east-1a"}
    assert _lines(vm(**there)) != []
    assert _lines(vm(**there, allowUnlistedRegion=True)) == []


def test_all_problems_come_at_once() -> None:
    broken = vm(zone="eu-central-1a", adminCidrs=["0.0.0.0/0"], instance={"type": "ecs.g8y.large"})
    assert len(_lines(broken)) == 3


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"region": "mars-1"}, "a region is named by its id: write it like ap-southeast-1"),
    ({"region": "Singapore"}, "a region is named by its id: write it like ap-southeast-1"),
    ({"zone": "somewhere"}, "a zone is its region's id and a letter"),
    ({"adminCidrs": ["203.0.113.7/24"]}, "the address has bits set behind the prefix: write it"),
    ({"adminCidrs": ["::/0"]}, "the security groups made here have IPv4 rules only"),
    ({"adminCidrs": ["me"]}, "not a network in CIDR form: write it like 203.0.113.7/32"),
    ({"adminCidrs": []}, "at least 1 item"),
    ({"instance": {"id": "my-machine"}}, "a machine is named by its id, i- and letters or digits"),
    ({"instance": {"type": "large"}}, "an instance type is ecs., a family and a size"),
    ({"instance": {"generation": 0}}, "greater than or equal to 1"),
    ({"k3s": {"version": "latest"}}, "a k3s version is pinned in full"),
    ({"k3s": {"sha256": "abc"}}, "a SHA-256 checksum is 64 of 0-9 a-f"),
    ({"instance": {"sshKey": {"publicKey": "-----BEGIN"}}}, "this is no OpenSSH public key"),
    ({"instance": {"sshKey": {"publicKey": SSH_KEY[:-2]}}}, "the key is damaged"),
    ({"instance": {"sshKey": {"publicKey": f"ssh-rsa {SSH_KEY[12:]}"}}}, "the key is damaged"),
    (
        {"instance": {"sshKey": {"publicKey": f"{SSH_KEY}\nssh-rsa AAAA"}}},
        "this is no OpenSSH public key (one line",
    ),
    (
        {"instance": {"sshKey": {"publicKey": SSH_KEY, "existingName": "ops"}}},
        "publicKey and existingName exclude each other",
    ),
    ({"instance": {"ramRole": {}}}, "a role made here needs actions and resources"),
    ({"schedule": {"start": "8am", "stop": "8pm", "hoursPerWeek": 60}}, "five cron fields"),
    ({"dataDisk": {"sizeGib": 10}}, "greater than or equal to 20"),
    ({"colour": "blue"}, "Extra inputs are not permitted"),
    ({"certificates": {"email": "nobody"}}, "not an e-mail address"),
    ({"registry": {"server": "https://r", "username": "u"}}, "a registry is a host name"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_bad_value_is_refused_with_its_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        vm(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["adminCidrs", "webCidrs"])
def test_who_may_connect_has_no_default(key: str) -> None:
    given = {"adminCidrs": ["203.0.113.7/32"], "webCidrs": []}
    del given[key]
    with pytest.raises(ValidationError) as caught:
        VmCluster.model_validate(
            {"kind": "vm", "region": "ap-southeast-1", "zone": "ap-southeast-1c", **given}
        )
    assert f"{key} is left out and has no default: who may" in str(caught.value)
    assert f"{key}: [" in str(caught.value)


def test_a_pool_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValidationError, match="maxNodes 1 is below minNodes 3: raise maxNodes"):
        ack(nodePools=[{**POOL, "minNodes": 3, "maxNodes": 1}])
