"""The example of a company in docs/examples is valid, has thirty people, uses most keys."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from jsonschema import Draft202012Validator

from fleet.plan.environment import Plan, make_plan
from fleet.stackfile.schema import stack_schema
from tests.support.stacks import SMALL, environment_of, lines_of, shipped_values

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "docs" / "examples" / "Pulumi.company.yaml"
KEYS = ("gatewayKey", "anthropicKey", "jiraToken", "gitToken", "deployKey", "leadKey")


def authority() -> str:
    """Return a certificate authority as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Company")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    made = made.public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("company")
    shutil.copytree(PROJECT / "scenes", folder / "scenes")
    # With a comment before it, as openssl writes one.
    (folder / "company-ca.pem").write_text(f"Company root\n{authority()}", encoding="utf-8")
    return make_plan(environment_of(shipped_values(EXAMPLE), folder, frozenset(KEYS)))


def test_it_is_thirty_people_in_two_pools(plan: Plan) -> None:
    assert len(plan.users) == 30
    assert {pool.name: len(pool.users) for pool in plan.pools} == {"default": 22, "research": 8}


def test_an_editor_accepts_it_too() -> None:
    validator: Any = Draft202012Validator(stack_schema())
    content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(content)] == []


def test_each_profile_has_its_models_and_devices(plan: Plan) -> None:
    users = {user.id: user for user in plan.users}

    def models(user: str) -> tuple[str, list[str]]:
        files = dict(users[user].runtime.managed_config.files)
        config = cast("dict[str, Any]", json.loads(files["opencode.json"]))
        return config["model"], config["enabled_providers"]

    assert models("developer-01") == ("gateway/gpt-5", ["gateway", "anthropic"])
    assert models("writer-01") == ("gateway/gpt-5", ["gateway"])
    assert models("guest-01") == ("gateway/qwen3-coder(fast)", ["gateway"])
    assert users["trainer-01"].profile.resources == {"nvidia.com/gpu": 1}
    sources = {use.variable: use.source for use in users["lead"].runtime.secrets if use.variable}
    assert sources["FLEET_KEY_ANTHROPIC"] == "leadKey"
    paths = [mount.path for mount in users["trainer-01"].runtime.mounts]
    assert paths == ["/mnt/handbook", "/mnt/models", "/mnt/papers"]


def leaves(place: Any, path: str = "") -> Iterator[str]:
    if isinstance(place, dict):
        for key, value in cast("dict[str, Any]", place).items():
            yield from leaves(value, f"{path}.{key}".lstrip("."))
    else:
        yield path


def test_it_uses_most_of_what_workspaces_can_have() -> None:
    used = set(leaves(shipped_values(EXAMPLE)))
    sections = {path.partition(".")[0] for path in used}
    assert {
        "providers",
        "models",
        "managedConfig",
        "env",
        "secretEnv",
        "mounts",
        "git",
        "network",
        "profiles",
    } <= sections


def test_the_certificates_of_the_file_reach_every_workspace(plan: Plan) -> None:
    for user in plan.users:
        assert user.runtime.trust is not None
        text = dict(user.runtime.trust.files)["authorities.crt"]
        assert text.startswith("-----BEGIN CERTIFICATE-----\n")
        assert dict(user.runtime.variables)["SSL_CERT_FILE"].endswith("/authorities.crt")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("no certificate", "a certificate in it cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate in it"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "it holds a private key"),
        ("x" * 600_000, "it has at most 524288 bytes"),
    ],
)
def test_a_bundle_that_is_none_is_told(text: str, rule: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(text, encoding="utf-8")
    (line,) = lines_of({**SMALL, "network": {"caBundle": "ca.pem"}}, tmp_path)
    assert line.startswith(f"network.caBundle: ca.pem: {rule}")
