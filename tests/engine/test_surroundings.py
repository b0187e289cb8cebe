"""What the stack file relies on in a cluster is looked up before a run, each told in one line."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cluster.client import Cluster, Live
from fleet.cluster.owned import owned
from fleet.engine.ownership import many_removed
from fleet.engine.surroundings import absent, growth_problems, refuse_taken_hosts
from fleet.errors import ClusterError
from tests.support.fakes.api_server import ApiServer, Fault
from tests.support.fakes.served import PLACE, Served

GATEWAY = {"name": "front", "namespace": "edge"}


def thing(kind: str, version: str, name: str, namespace: str | None = None, **more: Any) -> Live:
    """Return an object of which only that it is there counts."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def place() -> Live:
    """Return the pool's namespace."""
    labels = {"opencode-fleet/environment": "t"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE, "labels": labels}}


def lines(fleet: Served, cluster: Cluster) -> list[str]:
    return absent(cluster, fleet.plan(), owned(cluster, "t"))


class TestNames:
    @pytest.mark.parametrize(
        ("keys", "there", "line"),
        [
            (
                {"storage": {"className": "fast"}},
                thing("StorageClass", "storage.k8s.io/v1", "fast"),
                "storage.className: fast: the cluster has no StorageClass fast: ",
            ),
            (
                {"access": {"domain": "x.localhost", "tls": "none", "className": "traefik"}},
                thing("IngressClass", "networking.k8s.io/v1", "traefik"),
                "access.className: traefik: the cluster has no IngressClass traefik: ",
            ),
            (
                {"access": {"domain": "x.org", "tls": "certManager", "clusterIssuer": "le"}},
                thing("ClusterIssuer", "cert-manager.io/v1", "le"),
                "access.clusterIssuer: le: the cluster has no ClusterIssuer le: ",
            ),
            (
                {
                    "access": {
                        "domain": "x.org",
                        "tls": "gateway",
                        "route": "httpRoute",
                        "gateway": GATEWAY,
                    }
                },
                thing("Gateway", "gateway.networking.k8s.io/v1", "front", "edge"),
                "access.gateway: front: the cluster has no Gateway front in namespace edge: ",
            ),
            (
                {"access": {"domain": "x.org", "tls": "secret", "tlsSecretName": "wild"}},
                thing("Secret", "v1", "wild", PLACE),
                f"access.tlsSecretName: wild: the cluster has no Secret wild in namespace {PLACE}",
            ),
            (
                {"image": {"mode": "local", "reference": "r:1", "pullSecret": "login"}},
                thing("Secret", "v1", "login", PLACE),
                f"image.pullSecret: login: the cluster has no Secret login in namespace {PLACE}",
            ),
        ],
        ids=["class", "ingress-class", "issuer", "gateway", "tls-secret", "pull-secret"],
    )
    def test_one_that_is_not_there_is_a_line_and_one_that_is_none(
        self, fleet: Served, cluster: Cluster, keys: dict[str, Any], there: Live, line: str
    ) -> None:
        fleet.write(**keys)
        fleet.api.put(place())
        (told,) = lines(fleet, cluster)
        assert told.startswith(line)
        fleet.api.put(there)
        assert lines(fleet, cluster) == []

    def test_a_name_that_many_users_share_is_told_once(
        self, fleet: Served, cluster: Cluster
    ) -> None:
        fleet.write(storage={"className": "typo"})
        assert len(lines(fleet, cluster)) == 1

    def test_a_class_that_made_its_claims_may_be_gone(
        self, fleet: Served, cluster: Cluster
    ) -> None:
        fleet.write(storage={"className": "typo"})
        fleet.deploy("alice", "bob")
        assert lines(fleet, cluster) == []

    def test_secrets_of_a_namespace_that_is_still_to_be_made_are_not_missed(
        self, fleet: Served, cluster: Cluster
    ) -> None:
        fleet.write(access={"domain": "x.org", "tls": "secret", "tlsSecretName": "wild"})
        assert lines(fleet, cluster) == []

    def test_who_may_not_ask_is_told_nothing(
        self, fleet: Served, cluster: Cluster, api: ApiServer
    ) -> None:
        fleet.write(storage={"className": "fast"})
        api.faults.append(Fault(path=".*/storageclasses/.*", status=403, reason="Forbidden"))
        assert lines(fleet, cluster) == []


class TestGrowth:
    def problems(self, fleet: Served, cluster: Cluster) -> list[str]:
        found = growth_problems(cluster, fleet.plan(), owned(cluster, "t"))
        return [str(problem) for problem in found]

    def small(self, fleet: Served) -> None:
        sized = {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "plain"}
        fleet.api.put(fleet.claim("alice", **sized))

    def test_a_class_that_cannot_is_told_before(self, fleet: Served, cluster: Cluster) -> None:
        self.small(fleet)
        fleet.api.put(thing("StorageClass", "storage.k8s.io/v1", "plain"))
        (line,) = self.problems(fleet, cluster)
        assert line.startswith("profiles.standard.storage: ")
        assert "the claim of user alice has 1Gi, and StorageClass plain does not allow" in line

    def test_a_class_that_can_is_no_problem(self, fleet: Served, cluster: Cluster) -> None:
        self.small(fleet)
        can = thing("StorageClass", "storage.k8s.io/v1", "plain", allowVolumeExpansion=True)
        fleet.api.put(can)
        assert self.problems(fleet, cluster) == []

    def test_a_claim_of_no_class_cannot_grow(self, fleet: Served, cluster: Cluster) -> None:
        fleet.api.put(fleet.claim("alice", resources={"requests": {"storage": "1Gi"}}))
        (line,) = self.problems(fleet, cluster)
        assert "does not allow claims to grow" in line

    def test_a_claim_that_stays_is_not_asked_about(self, fleet: Served, cluster: Cluster) -> None:
        fleet.api.put(fleet.claim("alice", storageClassName="plain"))
        assert self.problems(fleet, cluster) == []


def ingress(host: str, environment: str | None = "other") -> Live:
    item = thing("Ingress", "networking.k8s.io/v1", "theirs", "theirs")
    if environment is not None:
        item["metadata"]["labels"] = {"opencode-fleet/environment": environment}
    return item | {"spec": {"rules": [{"host": host}]}}


class TestHosts:
    def host(self, fleet: Served) -> str:
        return fleet.plan().users[0].host

    def test_a_host_of_another_environment_is_refused(
        self, fleet: Served, cluster: Cluster
    ) -> None:
        fleet.api.put(ingress(self.host(fleet)))
        with pytest.raises(ClusterError) as raised:
            refuse_taken_hosts(cluster, fleet.plan())
        text = str(raised.value)
        assert text.startswith(f"access.domain: host {self.host(fleet)} leads to environment other")
        assert "Ingress theirs/theirs" in text

    def test_a_wildcard_takes_it_too(self, fleet: Served, cluster: Cluster) -> None:
        wildcard = "*." + self.host(fleet).partition(".")[2]
        fleet.api.put(ingress(wildcard, None))
        with pytest.raises(ClusterError, match="leads to somebody else already"):
            refuse_taken_hosts(cluster, fleet.plan())

    def test_an_http_route_takes_it_too(self, fleet: Served, cluster: Cluster) -> None:
        route = thing("HTTPRoute", "gateway.networking.k8s.io/v1", "theirs", "theirs")
        fleet.api.put(route | {"spec": {"hostnames": [self.host(fleet).upper()]}})
        with pytest.raises(ClusterError, match="HTTPRoute theirs/theirs"):
            refuse_taken_hosts(cluster, fleet.plan())

    @pytest.mark.parametrize("host", ["*.org", "else.fleet.example.org", "x.localhost"])
    def test_other_hosts_are_no_concern(self, fleet: Served, cluster: Cluster, host: str) -> None:
        fleet.api.put(ingress(host))
        refuse_taken_hosts(cluster, fleet.plan())

    def test_our_own_is_ours(self, fleet: Served, cluster: Cluster) -> None:
        fleet.api.put(ingress(self.host(fleet), "t"))
        refuse_taken_hosts(cluster, fleet.plan())


class TestManyRemoved:
    @pytest.mark.parametrize(
        ("there", "stay", "asks"),
        [(5, 0, True), (10, 7, True), (3, 0, True), (2, 0, False), (20, 17, False), (5, 5, False)],
    )
    def test_more_than_two_and_a_fifth_is_asked(
        self, fleet: Served, cluster: Cluster, there: int, stay: int, asks: bool
    ) -> None:
        people = [f"user-{number}" for number in range(there)]
        fleet.deploy(*people, pod=None)
        fleet.users(*people[:stay])
        told = many_removed(fleet.plan(), owned(cluster, "t"))
        assert (told is not None) == asks
        if told is not None:
            assert told.startswith(f"the runtimes of {there - stay} of {there} users (user-")
