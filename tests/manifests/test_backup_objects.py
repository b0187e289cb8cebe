"""What backs a pool up: which objects, what they may do, reach and read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.manifests.backup import BackupInputs, backup_objects, secret_data
from fleet.plan.environment import PoolPlan, make_plan
from tests.support.stacks import BACKUP_SECRETS, SMALL, Values, environment_of, with_value

SECRETS = {
    "backupPassword": "0123456789abcdef0123456789abcdef",
    "backupAccessKeyId": "the id\n",
    "backupSecretAccessKey": "the key",
}
S3 = "https://s3.example.com/bucket/fleet"


def pool_of(folder: Path, backup: Values, **changes: Any) -> PoolPlan:
    values = with_value({**SMALL, **changes}, "backup", backup)
    return make_plan(environment_of(values, folder, BACKUP_SECRETS)).pools[0]


def objects(pool: PoolPlan) -> list[dict[str, Any]]:
    return [dict(item) for item in backup_objects(pool, BackupInputs(image="image:1"))]


def one(pool: PoolPlan, kind: str, name: str = "backup") -> dict[str, Any]:
    found = [
        item
        for item in objects(pool)
        if item["kind"] == kind and item["metadata"]["name"].startswith(name)
    ]
    return found[0]


def exits(pool: PoolPlan, role: str) -> list[dict[str, Any]]:
    return one(pool, "NetworkPolicy", role)["spec"]["egress"]


def test_the_number_of_objects_does_not_grow_with_users(shared_folder: Path) -> None:
    few = pool_of(shared_folder, {"repository": {"s3": S3}})
    many = pool_of(
        shared_folder,
        {"repository": {"s3": S3}},
        users=[{"id": f"user-{n}"} for n in range(50)],
    )
    assert [item["kind"] for item in objects(few)] == [item["kind"] for item in objects(many)]


def test_each_key_of_a_backup_ends_up_in_an_object(shared_folder: Path) -> None:
    pool = pool_of(
        shared_folder,
        {
            "schedule": "30 1 * * *",
            "timeZone": "Asia/Shanghai",
            "repository": {"s3": S3},
            "keep": {"daily": 3, "weekly": 2, "monthly": 1},
            "parallel": 5,
            "drill": {"schedule": "0 6 2 * *", "className": "scratch"},
        },
    )
    night, drill = one(pool, "CronJob"), one(pool, "CronJob", "backup-drill")
    assert night["spec"]["schedule"] == "30 1 * * *"
    assert drill["spec"]["schedule"] == "0 6 2 * *"
    assert {night["spec"]["timeZone"], drill["spec"]["timeZone"]} == {"Asia/Shanghai"}
    template = night["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {"name": "FLEET_PARALLEL", "value": "5"} in template["containers"][0]["env"]
    settings = one(pool, "ConfigMap")["data"]
    assert '"value": "3 2 1"' in settings["backup.json"]
    assert f"s3:{S3}/test/<slug>" in settings["backup.json"]
    scratch = json.loads(settings["drill.json"])["spec"]["volumes"][0]["ephemeral"]
    assert scratch["volumeClaimTemplate"]["spec"]["storageClassName"] == "scratch"


def test_a_run_never_overlaps_with_another(shared_folder: Path) -> None:
    pool = pool_of(shared_folder, {"repository": {"s3": S3}})
    assert one(pool, "CronJob")["spec"]["concurrencyPolicy"] == "Forbid"
    name = json.loads(one(pool, "ConfigMap")["data"]["backup.json"])["metadata"]["name"]
    assert name == "backup-<slug>", "the name is the lock of the claim"


def test_a_users_pod_reads_the_password_of_its_user_alone(shared_folder: Path) -> None:
    pool = pool_of(shared_folder, {"repository": {"s3": S3}})
    pod = json.loads(one(pool, "ConfigMap")["data"]["backup.json"])
    secret = next(item["secret"] for item in pod["spec"]["volumes"] if "secret" in item)
    assert [item["key"] for item in secret["items"]] == [
        "password.<slug>",
        "accessKeyId",
        "secretAccessKey",
    ]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "opencode-fleet/user" not in pod["metadata"]["labels"], "it is no runtime"
    assert not [item for item in pod["spec"]["containers"][0]["env"] if "valueFrom" in item]


def test_the_pools_secret_has_a_password_a_user_and_the_stores_keys(shared_folder: Path) -> None:
    pool = pool_of(shared_folder, {"repository": {"s3": S3}})
    assert pool.backup is not None
    data = secret_data(pool, pool.backup, SECRETS)
    opened = {key: base64.b64decode(text).decode() for key, text in data.items()}
    assert set(opened) == {"password.alice", "password.bob", "accessKeyId", "secretAccessKey"}
    assert opened["password.alice"] != opened["password.bob"]
    assert opened["accessKeyId"] == "the id"
    assert SECRETS["backupPassword"] not in opened.values()


def test_the_account_makes_pods_and_writes_one_config_map_and_reads_no_secret(
    shared_folder: Path,
) -> None:
    role = one(pool_of(shared_folder, {"repository": {"s3": S3}}), "Role")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "create", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["backup-results"],
            "verbs": ["get", "patch"],
        },
    ]


@pytest.mark.parametrize(
    ("address", "allow", "expected"),
    [
        ("https://10.1.2.3:9000/bucket", ["10.1.2.3/32"], ["10.1.2.3/32", "10.1.2.3/32"]),
        (
            "https://s3.example.com/bucket",
            ["100.118.28.0/24"],
            ["0.0.0.0/0", "::/0", "100.118.28.0/24"],
        ),
    ],
)
def test_a_users_pod_reaches_the_store_at_its_port(
    shared_folder: Path, address: str, allow: list[str], expected: list[str]
) -> None:
    pool = pool_of(shared_folder, {"repository": {"s3": address}, "allow": allow})
    names, store = exits(pool, "backup-user")
    assert names["ports"][0]["port"] == 53
    assert [item["ipBlock"]["cidr"] for item in store["to"]] == expected
    assert store["ports"] == [{"protocol": "TCP", "port": 9000 if "9000" in address else 443}]


def test_a_store_in_the_cluster_is_reached_in_its_namespace_alone(shared_folder: Path) -> None:
    pool = pool_of(shared_folder, {"repository": {"s3": "http://minio.store.svc:9000/bucket"}})
    _, store = exits(pool, "backup-user")
    named = {"matchLabels": {"kubernetes.io/metadata.name": "store"}}
    assert store == {"to": [{"namespaceSelector": named}]}


def test_a_repository_on_a_claim_or_nfs_needs_no_way_out_and_is_retained(
    shared_folder: Path,
) -> None:
    claim = pool_of(shared_folder, {"repository": {"claim": {"size": "20Gi", "className": "slow"}}})
    assert exits(claim, "backup-user") == []
    held = one(claim, "PersistentVolumeClaim", "backup-repository")
    assert held["spec"]["storageClassName"] == "slow"
    assert held["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert held["metadata"]["annotations"] == {"opencode-fleet/retain": "true"}
    nfs = pool_of(
        shared_folder,
        {"repository": {"nfs": {"server": "nas.example.com", "path": "/backups", "driver": "csi"}}},
    )
    volume = one(nfs, "PersistentVolume", "")
    assert volume["spec"]["csi"]["volumeAttributes"]["path"] == "/backups"
    assert volume["spec"]["claimRef"]["name"] == "backup-repository"


def test_a_shared_app_is_backed_up_from_the_users_own_folder(shared_folder: Path) -> None:
    storage = {"mode": "shared", "shared": {"size": "10Gi"}}
    pool = pool_of(shared_folder, {"repository": {"s3": S3}}, storage=storage)
    pod = json.loads(one(pool, "ConfigMap")["data"]["backup.json"])
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "shared", "mountPath": "/user/app", "subPath": "<id>"} in mounts
