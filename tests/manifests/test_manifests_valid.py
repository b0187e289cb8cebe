"""Every object of every variant is one that Kubernetes 1.35 accepts, strictly."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, cast

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs] - it ships none
import pytest
import yaml

from tests.support.deployed import VARIANTS, Deployed, deploy

VERSION = "1.35"
# Kinds of the Gateway API are custom resources: the validator has no schema for them.
CUSTOM = {"HTTPRoute"}
# Keys whose values a schema judges too.
CHOICES = {"kind", "apiVersion", "type", "protocol", "pathType", "imagePullPolicy"}
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request: pytest.FixtureRequest, shared_folder: Path) -> Deployed:
    """Each variant's objects."""
    return deploy(VARIANTS[request.param], shared_folder)


def shape(value: Any) -> str:
    """Return the keys and kinds of values in an object: what a schema judges, names aside."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        named = {f"{key}={item}" for key, item in items if key in CHOICES}
        rest = {f"{key}:{shape(item)}" for key, item in items if key not in CHOICES}
        return f"{{{','.join(sorted(named | rest))}}}"
    if isinstance(value, list):
        return f"[{','.join(sorted({shape(item) for item in cast('list[Any]', value)}))}]"
    return type(value).__name__


@pytest.fixture(scope="module")
def judged() -> set[str]:
    """Shapes that have been validated: one takes 70 ms, and most variants share most of them."""
    return set()


def test_every_object_follows_the_strict_schema(variant: Deployed, judged: set[str]) -> None:
    for item in variant.objects + variant.door:
        # Through YAML, as `fleet render` writes it: tuples and odd types would show here.
        plain = yaml.load(yaml.dump(item, Dumper=yaml.CSafeDumper), Loader=yaml.CSafeLoader)
        if item["kind"] not in CUSTOM and shape(plain) not in judged:
            kubernetes_validate.validate(plain, VERSION, strict=True)  # pyright: ignore[reportUnknownMemberType] - no stub
            judged.add(shape(plain))
    assert judged


def test_the_validator_can_fail(shared_folder: Path) -> None:
    broken: dict[str, Any] = {**deploy(VARIANTS["small"], shared_folder).objects[0], "spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)  # pyright: ignore[reportUnknownMemberType] - no stub


def test_names_are_labels_and_unique_in_their_namespace(variant: Deployed) -> None:
    seen = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in variant.objects + variant.door
    ]
    assert len(set(seen)) == len(seen)
    assert [name for _, _, name in seen if not LABEL.fullmatch(name)] == []


def test_labels_and_annotations_are_what_the_api_takes(variant: Deployed) -> None:
    for item in variant.objects + variant.door:
        metadata = item["metadata"]
        assert all(LABEL_VALUE.fullmatch(value) for value in metadata["labels"].values())
        assert all(isinstance(value, str) for value in metadata.get("annotations", {}).values())


def test_every_object_says_which_environment_and_pool_own_it(variant: Deployed) -> None:
    for item in variant.objects:
        labels = item["metadata"]["labels"]
        assert labels["opencode-fleet/environment"] == "test"
        assert labels["opencode-fleet/pool"]
        assert labels["app.kubernetes.io/managed-by"] == "opencode-fleet"


def test_objects_are_in_the_namespace_of_their_pool(variant: Deployed) -> None:
    for item in variant.objects:
        metadata = item["metadata"]
        if item["kind"] in ("Namespace", "PersistentVolume"):
            assert "namespace" not in metadata
        else:
            pool = metadata["labels"]["opencode-fleet/pool"]
            assert metadata["namespace"] == f"opencode-test--{pool}"


def test_config_maps_keep_within_the_limits_of_the_api(variant: Deployed) -> None:
    for item in variant.of("ConfigMap"):
        assert item["immutable"] is True
        assert all(CONFIG_KEY.fullmatch(key) for key in item["data"])
        assert not any(key.startswith("..") for key in item["data"])
        assert sum(len(text.encode()) for text in item["data"].values()) < 2**20


def test_what_a_pod_refers_to_is_there(variant: Deployed) -> None:
    def names(kind: str, namespace: str) -> set[str]:
        found = (item["metadata"] for item in variant.of(kind))
        return {metadata["name"] for metadata in found if metadata["namespace"] == namespace}

    for item in variant.of("Deployment"):
        namespace = item["metadata"]["namespace"]
        pod = item["spec"]["template"]["spec"]
        # What `mounts:` names is somebody else's.
        for volume in (it for it in pod["volumes"] if not it["name"].startswith("mount-")):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in names("ConfigMap", namespace)
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert claim in names("PersistentVolumeClaim", namespace)
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert all(LABEL.fullmatch(name) for name in volumes)
        for container in pod["initContainers"] + pod["containers"]:
            mounts = container["volumeMounts"]
            assert {mount["name"] for mount in mounts} <= volumes
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
            assert not any(".." in mount.get("subPath", "").split("/") for mount in mounts)
            assert not any(mount.get("subPath", "x").startswith("/") for mount in mounts)
            for variable in container["env"]:
                secret = variable.get("valueFrom", {}).get("secretKeyRef")
                assert secret is None or secret["name"] in names("Secret", namespace)


def test_a_service_leads_to_the_users_own_pod(variant: Deployed) -> None:
    pods = [item["spec"]["template"] for item in variant.of("Deployment")]
    for service in variant.of("Service"):
        selector = service["spec"]["selector"].items()
        assert sum(selector <= pod["metadata"]["labels"].items() for pod in pods) == 1


def test_exceptions_of_a_policy_lie_inside_what_they_are_excepted_from(variant: Deployed) -> None:
    # The API server refuses any other; the schema does not know the rule.
    blocks: list[dict[str, Any]] = [
        peer["ipBlock"]
        for item in variant.of("NetworkPolicy")
        for rule in item["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    for block in blocks:
        whole = ipaddress.ip_network(block["cidr"])
        for text in block.get("except", []):
            part = ipaddress.ip_network(text)
            assert type(part) is type(whole)
            assert part != whole
            assert part.subnet_of(whole)  # pyright: ignore[reportArgumentType] - same type, above
            mapped = getattr(part.network_address, "ipv4_mapped", None)
            assert mapped is None, "Kubernetes reads it as IPv4"


def test_a_users_resources_stay_within_the_five_of_the_design(variant: Deployed) -> None:
    for user in variant.plan.users:
        own = [item for item in variant.objects if item["metadata"]["name"] == user.name]
        # The component comes on top.
        assert len(own) + 1 == 5
