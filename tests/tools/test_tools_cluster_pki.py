"""Certificates of the local cluster: who may do what, with which keys, and when they change."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tools.cluster import addresses, credentials, pki
from tools.cluster.pki import Authority, Subject


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_an_authority_is_made_once_and_issues_only_leaves(tmp_path: Path) -> None:
    first = Authority(tmp_path, "ca")
    content = first.certificate.read_bytes()
    assert Authority(tmp_path, "ca").certificate.read_bytes() == content
    constraints = load(first.certificate).extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_a_certificate_carries_name_groups_and_addresses(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    subject = Subject("node", ("system:nodes",), (addresses.NODE_IP, "node.test"))
    path, key = authority.issue("node", subject)
    certificate = load(path)
    certificate.verify_directly_issued_by(load(authority.certificate))
    assert certificate.subject.rfc4514_string() == "CN=node,O=system:nodes"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ip_address(addresses.NODE_IP)]
    assert names.get_values_for_type(x509.DNSName) == ["node.test"]
    private = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.public_key() == certificate.public_key()


def test_a_client_certificate_serves_no_server(tmp_path: Path) -> None:
    path, _ = Authority(tmp_path, "ca").issue("client", Subject("client"))
    usage = load(path).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_good_certificate_is_kept_and_another_subject_gets_a_new_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    path, _ = authority.issue("a", Subject("a", (), ("127.0.0.1",)))
    content = path.read_bytes()
    authority.issue("a", Subject("a", (), ("127.0.0.1",)))
    assert path.read_bytes() == content
    authority.issue("a", Subject("a", (), ("127.0.0.2",)))
    assert path.read_bytes() != content


def test_a_certificate_near_its_end_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path, "ca")
    monkeypatch.setattr(pki, "LEAF_DAYS", pki.RENEW_DAYS - 1)
    path, _ = authority.issue("a", Subject("a"))
    monkeypatch.undo()
    content = path.read_bytes()
    authority.issue("a", Subject("a"))
    assert path.read_bytes() != content
    assert load(path).not_valid_after_utc > datetime.now(UTC) + timedelta(days=pki.RENEW_DAYS)


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    credentials.ensure(folder)
    private = [*folder.glob("*.key"), *folder.glob("*.kubeconfig")]
    assert len(private) > 10
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert folder.stat().st_mode & 0o077 == 0


def test_a_second_start_changes_no_certificate(tmp_path: Path) -> None:
    credentials.ensure(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    credentials.ensure(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_clusters_authority_opens_no_way_into_etcd(tmp_path: Path) -> None:
    held = credentials.ensure(tmp_path)
    store = load(held.certificate("etcd-ca"))
    load(held.certificate("apiserver-etcd-client")).verify_directly_issued_by(store)
    with pytest.raises((InvalidSignature, ValueError)):
        load(held.certificate("admin")).verify_directly_issued_by(store)


def test_the_api_server_is_known_by_loopback_service_and_bridge_address(tmp_path: Path) -> None:
    held = credentials.ensure(tmp_path)
    extensions = load(held.certificate("apiserver")).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}
    assert found == {addresses.LOOPBACK, addresses.API_SERVICE_IP, addresses.NODE_IP}


def test_a_kubeconfig_refers_to_its_clients_files(tmp_path: Path) -> None:
    held = credentials.ensure(tmp_path)
    data = json.loads(held.kubeconfig("scheduler").read_text(encoding="utf-8"))
    assert data["users"][0]["user"]["client-key"] == str(held.key("scheduler"))
    assert data["clusters"][0]["cluster"]["server"] == addresses.API_URL
