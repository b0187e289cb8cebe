"""Certificates that run out soon: which are told, and how."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.cluster.certificates import expiring
from fleet.cluster.client import Cluster
from tests.support.fakes.api_server import CONTEXT, ApiServer, Fault
from tests.support.fakes.served import Served


@pytest.fixture
def cluster(fleet: Served) -> Cluster:
    return fleet.cluster


NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def _certificate(days: int) -> str:
    """Return a certificate that ends so many days from now, PEM in base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleet")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - datetime.timedelta(days=300))
        .not_valid_after(NOW + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def _secret(namespace: str, certificate: str, kind: str = "kubernetes.io/tls") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {
            "name": "fleet-self-signed",
            "namespace": namespace,
            "labels": {"opencode-fleet/environment": "t"},
        },
        "data": {"tls.crt": certificate},
    }


def _told(cluster: Cluster) -> list[str]:
    return [item.line(NOW) for item in expiring(cluster, "t", NOW)]


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (31, None),
        (29, "runs out in 29 days (2026-06-30)"),
        (0, "has run out (2026-06-01)"),
        (-3, "has run out (2026-05-29)"),
    ],
)
def test_a_certificate_is_told_thirty_days_ahead(
    api: ApiServer, cluster: Cluster, days: int, said: str | None
) -> None:
    api.put(_secret("a", _certificate(days)))
    line = f"certificate a/fleet-self-signed: {said}: fleet up renews it in its last 30 days"
    assert _told(cluster) == ([line] if said else [])


def test_copies_of_a_certificate_are_told_once(api: ApiServer, cluster: Cluster) -> None:
    copied = _certificate(5)
    api.put(_secret("a", copied), _secret("b", copied), _secret("c", _certificate(6)))
    assert [line.split(":")[0] for line in _told(cluster)] == [
        "certificate a/fleet-self-signed",
        "certificate c/fleet-self-signed",
    ]


@pytest.mark.parametrize("content", ["", "no base64!", base64.b64encode(b"no PEM").decode()])
def test_what_is_no_certificate_is_left_alone(
    api: ApiServer, cluster: Cluster, content: str
) -> None:
    api.put(_secret("a", content), _secret("b", _certificate(5), kind="Opaque"))
    assert _told(cluster) == []


def test_the_operators_own_access_is_told(fleet: Served) -> None:
    credential = {"token": fleet.api.token, "client-certificate-data": _certificate(9)}
    fleet.api.write_kubeconfig(fleet.folder / "kubeconfig", **credential)
    assert _told(Cluster.open(CONTEXT)) == [
        "your access to the cluster: runs out in 9 days (2026-06-10): on a machine made here raise "
        "cluster.k3s.accessGeneration and run fleet up; elsewhere fetch a new kubeconfig"
    ]


def test_who_may_not_read_secrets_sees_the_rest(api: ApiServer, cluster: Cluster) -> None:
    api.put(_secret("a", _certificate(5)))
    api.faults.append(Fault(path="/secrets", status=403, reason="Forbidden", message="no"))
    assert _told(cluster) == []


def test_status_tells_it(fleet: Served) -> None:
    fleet.deploy("alice", "bob")
    past = _certificate(-3)
    fleet.api.put(_secret("a", past))
    said = fleet.fleet("status", "-s", "t")
    assert said.code == 0
    assert "certificate a/fleet-self-signed: has run out (2026-05-29)" in said.err
    assert fleet.fleet("status", "-s", "t", "--json").json["expiring"] != []
