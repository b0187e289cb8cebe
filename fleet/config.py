"""The stack file as frozen models: every key, its type, its default, its meaning.

Leaves out: rules that span several keys (`rules`), reading the file (`stack_file`), cloud keys of
the `vm` and `ack` cluster kinds (`alicloud.config`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.image_config import Image
from fleet.model import Model
from fleet.scalars import (
    BaseUrl,
    Cidr,
    CpuQuantity,
    Domain,
    Line,
    MemoryQuantity,
    ObjectName,
    PoolName,
    Port,
    ProfileName,
    RelativePath,
    SceneId,
    SecretKey,
    UserId,
)

MAX_USERS_A_POOL = 100


class ExistingCluster(Model):
    """A cluster that is already there."""

    kind: Literal["existing"]
    context: Line
    """kubeconfig context; always named, so that nothing lands on whatever context is current."""


Cluster = Annotated[ExistingCluster | VmCluster | AckCluster, Field(discriminator="kind")]


class TlsMode(StrEnum):
    """Where a workspace's certificate comes from."""

    NONE = "none"
    SECRET = "secret"  # noqa: S105 - a mode's name
    CERT_MANAGER = "certManager"
    SELF_SIGNED = "selfSigned"


class RouteKind(StrEnum):
    """Which API carries a user's host to the Service."""

    INGRESS = "ingress"
    HTTP_ROUTE = "httpRoute"


class Peer(Model):
    """Pods of another namespace, for a network rule."""

    namespace: ObjectName
    pod_labels: dict[str, str] = Field(default_factory=dict)
    """Labels the pods carry; empty means every pod of the namespace."""


class Gateway(Model):
    """The Gateway that HTTPRoutes attach to."""

    name: ObjectName
    namespace: ObjectName


class Access(Model):
    """How users reach their workspaces."""

    domain: Domain
    """Every user gets `<id>.<domain>`; a wildcard DNS record points at the ingress controller."""
    tls: TlsMode
    port: Port | None = None
    """Port in the printed URLs when it is not the scheme's own."""
    route: RouteKind = RouteKind.INGRESS
    class_name: ObjectName | None = None
    """IngressClass; unset leaves it to the cluster's default."""
    gateway: Gateway | None = None
    tls_secret_name: ObjectName | None = None
    """Certificate for `*.<domain>` that stands in every pool's namespace (tls: secret)."""
    cluster_issuer: ObjectName | None = None
    """cert-manager ClusterIssuer (tls: certManager)."""
    controller: Peer = Peer(namespace="ingress-nginx")
    """Who may open connections to the workspaces."""


class ModelEndpoint(Model):
    """The OpenAI-compatible endpoint that all workspaces of the environment use."""

    provider: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    base_url: BaseUrl
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
    small_name: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")] = None
    """Cheaper model for titles and summaries; unset uses `name`."""
    context_tokens: Annotated[int, Field(ge=1024, le=10_000_000)] = 200_000
    output_tokens: Annotated[int, Field(ge=256, le=1_000_000)] = 32_000
    api_key: SecretKey = "modelApiKey"
    """Top-level secret key that holds the API key."""


class CpuSize(Model):
    """CPU in cores: the share a runtime is sure of, and its ceiling."""

    request: CpuQuantity
    limit: CpuQuantity


class MemorySize(Model):
    """Memory in bytes: the share a runtime is sure of, and its ceiling."""

    request: MemoryQuantity
    limit: MemoryQuantity


class Profile(Model):
    """A named size of runtime."""

    cpu: CpuSize = CpuSize(request="250m", limit="2")
    memory: MemorySize = MemorySize(request="512Mi", limit="2Gi")
    storage: MemoryQuantity = "10Gi"
    """Size of the user's claim; it can grow where the StorageClass allows, never shrink."""
    ephemeral_storage: MemoryQuantity = "4Gi"
    """Ceiling of what is lost at a restart: /tmp, the home folder, logs."""


class Scene(Model):
    """A prepared working context: a folder beside the stack file, or one on the shared NAS."""

    path: RelativePath | None = None
    nas_path: RelativePath | None = None


class UserState(StrEnum):
    """Whether a user's runtime runs."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class User(Model):
    """One person with one runtime."""

    id: UserId
    """Identifies the user, and their data, for ever."""
    display_name: Line | None = None
    scenes: tuple[SceneId, ...] = ()
    profile: ProfileName = "standard"
    pool: PoolName = "default"
    state: UserState = UserState.ACTIVE
    password_version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    """Raise it to get a new password."""
    api_key: SecretKey | None = None
    """Top-level secret key with a model API key of this user's own."""


class Quota(Model):
    """Totals that a pool's active users may request."""

    cpu: CpuQuantity | None = None
    memory: MemoryQuantity | None = None
    storage: MemoryQuantity | None = None


class Pool(Model):
    """A namespace with users in it."""

    quota: Quota = Quota()


class Nas(Model):
    """An NFS export that backs the shared claim through a static PersistentVolume."""

    server: Domain
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]*$", max_length=512)] = "/"
    driver: Literal["nfs", "csi"] = "nfs"
    """`csi` is Alibaba Cloud's nasplugin.csi.alibabacloud.com; `nfs` the kubelet's own."""


class SharedClaim(Model):
    """One ReadWriteMany claim a pool, for `/app` folders (`subPath: <userId>`) or NAS scenes."""

    size: MemoryQuantity = "100Gi"
    class_name: ObjectName | None = None
    nas: Nas | None = None


class StorageMode(StrEnum):
    """Where a user's `/app` lives; OpenCode's own database is always on a claim of the user's."""

    CLAIM = "claim"
    SHARED = "shared"


class Storage(Model):
    """Where data lives."""

    mode: StorageMode = StorageMode.CLAIM
    class_name: ObjectName | None = None
    """StorageClass of the users' claims; unset leaves it to the cluster's default."""
    shared: SharedClaim | None = None


class PrivateEndpoint(Model):
    """A private address range that runtimes may reach after all, for one TCP port."""

    cidr: Cidr
    port: Port


class Network(Model):
    """What runtimes may reach beyond the public internet."""

    allow: tuple[PrivateEndpoint, ...] = ()
    deny: tuple[Cidr, ...] = ()
    """More ranges to close: a VPC with public addresses, say."""
    dns: Peer = Peer(namespace="kube-system", pod_labels={"k8s-app": "kube-dns"})


class StackConfig(Model):
    """All keys of `opencode-fleet:` in a stack file, secrets aside."""

    cluster: Cluster
    image: Image = Image()
    access: Access
    model: ModelEndpoint | None = None
    profiles: dict[ProfileName, Profile] = Field(default_factory=dict)
    scenes: dict[SceneId, Scene] = Field(default_factory=dict)
    pools: dict[PoolName, Pool] = Field(default_factory=dict)
    storage: Storage = Storage()
    network: Network = Network()
    users: tuple[User, ...]
    purge: tuple[UserId, ...] = ()
    """Former users whose claims and data are to be deleted for good, each id typed in full."""

    def profile(self, name: str) -> Profile | None:
        """Return a profile by name; `standard` exists without being written."""
        return self.profiles.get(name) or (Profile() if name == "standard" else None)
