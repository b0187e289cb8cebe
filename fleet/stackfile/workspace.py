"""What a workspace gets beyond its size: variables, secrets, mounts, the same for all, for those of
a profile, and for a user.

Leaves out: how the three are put together (`plan.runtime_spec`), the objects (`manifests.runtime`).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from fleet.values.model import Model, broken
from fleet.values.scalars import Domain, LabelKey, ObjectName, RelativePath, SecretKey

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# What OpenCode, the image and the product set or read themselves; a loader's variables would run in
# every program of the pod.
_OWNED = re.compile(
    r"OPENCODE_.*|FLEET_.*|XDG_.*|LD_.*|HOME|PATH|SHELL|USER|LANG|PWD|HOSTNAME|GIT_CONFIG_.*"
    r"|GH_CONFIG_DIR|PYTHONUSERBASE|PIP_BREAK_SYSTEM_PACKAGES|NPM_CONFIG_PREFIX"
    r"|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|KUBERNETES_.*|(HTTPS?|NO)_PROXY",
    re.IGNORECASE,
)
_TEXT_MAX = 32_768
_CLOSED = (
    "/app",
    "/bin",
    "/boot",
    "/data",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/node_modules",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",  # noqa: S108 - a rule's list
    "/usr",
    "/var",
)
_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+")


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise broken(
            "a variable's name has letters, digits and _, no digit first",
            "write it like JIRA_URL",
        )
    if _OWNED.fullmatch(value):
        raise broken("OpenCode, the image or this product sets it", "use another name")
    return value


def _variable_text(value: str) -> str:
    if "\0" in value or len(value) > _TEXT_MAX:
        raise broken(
            f"a variable's text has at most {_TEXT_MAX} characters and no NUL",
            "shorten it, or mount a file",
        )
    return value


def _mount_path(value: str) -> str:
    if not _PATH.fullmatch(value) or "/." in value:
        raise broken("a mount's path is absolute and plain", "write it like /mnt/papers")
    top = "/" + value.split("/")[1]
    if top in _CLOSED:
        raise broken(f"{top} is the image's or the user's own", "mount it like /mnt/papers")
    return value


VariableName = Annotated[str, AfterValidator(_variable)]
VariableText = Annotated[str, AfterValidator(_variable_text)]
MountPath = Annotated[
    str, AfterValidator(_mount_path), WithJsonSchema({"type": "string", "pattern": "^/.+"})
]


class NfsExport(Model):
    """A folder of an NFS server or NAS."""

    server: Domain
    """Address of the server."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]*$", max_length=512)]
    """Exported folder."""


class CsiVolume(Model):
    """A volume that a CSI driver of the cluster makes for each pod."""

    driver: Domain
    """The driver's name; it must allow volumes inside of pods (ephemeral)."""
    attributes: Annotated[dict[str, str], Field(max_length=20)] = Field(
        default_factory=dict[str, str]
    )
    """What the driver is told."""


class Mount(Model):
    """Files or data that stand in the pool's namespace or on a server, mounted into workspaces."""

    path: MountPath
    """Where it appears; never over /app, /data or the system's folders."""
    claim: ObjectName | None = None
    """A PersistentVolumeClaim of the pool's namespace that several pods may use."""
    config_map: ObjectName | None = None
    """A ConfigMap of the pool's namespace."""
    secret: ObjectName | None = None
    """A Secret of the pool's namespace."""
    nfs: NfsExport | None = None
    """A folder of an NFS server; every pool gets a volume and a claim for it."""
    csi: CsiVolume | None = None
    """A volume of a CSI driver."""
    sub_path: RelativePath | None = None
    """A folder or file inside of it."""
    read_only: bool = True
    """`false` lets workspaces write."""


class Workspace(Model):
    """What can be given to all workspaces, to those of a profile, and to a user's."""

    env: Annotated[dict[VariableName, VariableText], Field(max_length=100)] = Field(
        default_factory=dict[str, str]
    )
    """Environment variables, in clear."""
    secret_env: Annotated[dict[VariableName, SecretKey], Field(max_length=100)] = Field(
        default_factory=dict[str, str]
    )
    """Environment variables by the top-level secret key that holds their text."""
    mounts: Annotated[tuple[Mount, ...], Field(max_length=20)] = ()
    """Files and data, read-only unless said otherwise."""


class Toleration(Model):
    """A taint of nodes that runtimes tolerate."""

    key: LabelKey
    """The taint's key."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """The taint's value; unset tolerates any."""
    effect: Annotated[str, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$")] | None = None
    """The taint's effect; unset tolerates all three."""


class Spread(Model):
    """How runtimes of a pool are spread over nodes or zones."""

    key: LabelKey
    """Label of nodes that makes a group, e.g. topology.kubernetes.io/zone."""
    max_skew: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    """By how many pods groups may differ."""
    required: bool = False
    """Whether a pod that would break it waits."""


class Placement(Model):
    """Where in the cluster runtimes of a profile run, and on what."""

    node_selector: Annotated[dict[LabelKey, str], Field(max_length=20)] = Field(
        default_factory=dict[str, str]
    )
    """Labels of the nodes to run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=20)] = ()
    """Taints of nodes that are no obstacle."""
    topology_spread: Annotated[tuple[Spread, ...], Field(max_length=5)] = ()
    """How runtimes are spread."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass, e.g. gvisor."""
    priority_class_name: ObjectName | None = None
    """PriorityClass."""
    resources: Annotated[dict[LabelKey, int], Field(max_length=10)] = Field(
        default_factory=dict[str, int]
    )
    """Extended resources, e.g. nvidia.com/gpu: 1."""
    host_users: bool | None = None
    """`false` gives pods a user namespace of their own (Kubernetes 1.33, Linux 6.3)."""
