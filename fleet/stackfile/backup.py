"""The `backup:` key of a stack file: when every user's work is copied, where to, for how long.

Leaves out: rules that span keys (`backup_rules`), the objects that do it (`manifests.backup`).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from fleet.alicloud.clock import cron, time_zone
from fleet.stackfile.storage import Nas
from fleet.values.model import Model, broken
from fleet.values.scalars import Cidr, MemoryQuantity, ObjectName, SecretKey

# Bucket and folder as S3 has them; what stands before is a server, with its scheme.
_S3 = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:(?P<port>[0-9]{1,5}))?"
    r"/(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<folder>(/[A-Za-z0-9._-]+)*)"
)
_S3_MAX, _LAST_PORT = 1024, 65535


def _s3(value: str) -> str:
    found = _S3.fullmatch(value.rstrip("/"))
    if found is None or not 0 < int(found["port"] or 1) <= _LAST_PORT:
        raise broken(
            "an S3 store is http(s)://server/bucket, a folder may follow; no user, no query",
            "write it like https://oss-cn-hangzhou.aliyuncs.com/my-bucket/fleet",
        )
    if ".." in value:
        raise broken("a folder of the store has no ..", "write it plainly")
    return value.rstrip("/")


def _cron(value: str) -> str:
    if "?" in value:
        raise broken("Kubernetes reads no ? in a schedule", "write * instead")
    return cron(value)


Schedule = Annotated[str, Field(max_length=100), AfterValidator(_cron)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(time_zone)]
S3Address = Annotated[str, Field(max_length=_S3_MAX), AfterValidator(_s3)]
Count = Annotated[int, Field(ge=0, le=1000, strict=True)]


class OwnClaim(Model):
    """A claim of each pool's own that holds the repositories of its users, for one machine."""

    size: MemoryQuantity
    """Size of the claim; it is retained as users' claims are."""
    class_name: ObjectName | None = None
    """StorageClass of the claim; unset leaves it to the cluster's default."""


class Repository(Model):
    """Where backups go: exactly one of the three."""

    s3: S3Address | None = None
    """S3-compatible store (OSS, MinIO): server, bucket, folder."""
    nfs: Nas | None = None
    """Folder of an NFS server."""
    claim: OwnClaim | None = None
    """A claim beside the users'; it does not outlive the loss of the machine or the namespace."""


class Keep(Model):
    """How many backups of a user stay: the last of each of so many days, weeks, months."""

    daily: Count = 7
    """Days."""
    weekly: Count = 4
    """Weeks."""
    monthly: Count = 6
    """Months."""


class Drill(Model):
    """Restoring every user's latest backup into a scratch volume, to compare it."""

    schedule: Schedule = "0 5 1 * *"
    """When, as five cron fields."""
    class_name: ObjectName | None = None
    """StorageClass of the scratch claim, one that deletes volumes; unset uses the node's disk."""


class Backup(Model):
    """Nightly backups of every user, encrypted, a repository each."""

    schedule: Schedule = "0 2 * * *"
    """When, as five cron fields."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of the schedules and of times without one, such as Asia/Shanghai."""
    repository: Repository
    """Where backups go."""
    access_key_id: SecretKey = "backupAccessKeyId"
    """Top-level secret key with the id of the store's access key (repository.s3)."""
    secret_access_key: SecretKey = "backupSecretAccessKey"  # noqa: S105 - a key's name
    """Top-level secret key with the store's access key itself (repository.s3)."""
    password_secret: SecretKey = "backupPassword"  # noqa: S105 - a key's name
    """Top-level secret key that every user's encryption password is derived from; keep a copy."""
    keep: Keep = Keep()
    """How long backups stay."""
    parallel: Annotated[int, Field(ge=1, le=10, strict=True)] = 2
    """Users of a pool that are backed up at the same time."""
    allow: Annotated[tuple[Cidr, ...], Field(max_length=20)] = ()
    """Private ranges the store may be in, at the port of its address."""
    drill: Drill = Drill()
    """The restore drill."""
