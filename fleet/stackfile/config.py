"""The stack file as frozen models: every key, its type, its default, its meaning.

Leaves out: rules that span several keys (`rules`), reading the file (`stack_file`), keys of the
door (`door`), cloud keys of the `vm` and `ack` cluster kinds (`alicloud.config`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, WithJsonSchema

from fleet.alicloud.config import AckCluster, VmCluster
from fleet.stackfile.backup import Backup
from fleet.stackfile.door import AgentControl, Door, Idle, SignIn
from fleet.stackfile.git import Git, UserGit
from fleet.stackfile.image import Image
from fleet.stackfile.network import Network, Peer
from fleet.stackfile.providers import ModelChoice, Models, Provider, ProviderId
from fleet.stackfile.storage import Storage
from fleet.stackfile.workspace import Mount, Placement, Workspace
from fleet.values.model import Model
from fleet.values.scalars import (
    Cidr,
    CpuQuantity,
    Domain,
    Line,
    MemoryQuantity,
    NamespaceName,
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
_MAX_SCENES = 50

ManagedConfig = Annotated[
    dict[str, JsonValue], WithJsonSchema({"type": "object", "additionalProperties": True})
]


class ExistingCluster(Model):
    """A cluster that is already there."""

    kind: Literal["existing"]
    """A kubeconfig context names it."""
    context: Line
    """kubeconfig context; always named, so that nothing lands on whatever context is current."""


Cluster = Annotated[ExistingCluster | VmCluster | AckCluster, Field(discriminator="kind")]


class TlsMode(StrEnum):
    """Where a workspace's certificate comes from."""

    NONE = "none"
    SECRET = "secret"  # noqa: S105 - a mode's name
    CERT_MANAGER = "certManager"
    SELF_SIGNED = "selfSigned"
    GATEWAY = "gateway"
    FRONT = "front"


class Challenge(StrEnum):
    """How a certificate authority has names proven."""

    DNS01 = "dns01"
    HTTP01 = "http01"


class RouteKind(StrEnum):
    """Which API carries the environment's host names to the door."""

    INGRESS = "ingress"
    HTTP_ROUTE = "httpRoute"


class Gateway(Model):
    """The Gateway that HTTPRoutes attach to."""

    name: ObjectName
    """The Gateway's name."""
    namespace: NamespaceName
    """The Gateway's namespace."""
    section_name: ObjectName | None = None
    """The listener to attach to; unset takes every one whose host name fits."""


class Access(Model):
    """How users reach their workspaces."""

    domain: Domain
    """The front page is at `<domain>`, a workspace at `<id>.<domain>`; both names, the second as a
    wildcard, point at the ingress controller."""
    tls: TlsMode
    """Where certificates come from; `none` is for *.localhost only, `gateway` for HTTPRoutes,
    `front` where something before the cluster ends TLS."""
    port: Port | None = None
    """Port in the printed URLs when it is not the scheme's own."""
    route: RouteKind = RouteKind.INGRESS
    """Which API carries the two host names to the door."""
    class_name: ObjectName | None = None
    """IngressClass; unset leaves it to the cluster's default."""
    gateway: Gateway | None = None
    """The Gateway that routes attach to (route: httpRoute)."""
    tls_secret_name: ObjectName | None = None
    """Certificate for `<domain>` and `*.<domain>` in the door's namespace (tls: secret)."""
    cluster_issuer: ObjectName | None = None
    """cert-manager ClusterIssuer (tls: certManager)."""
    challenge: Challenge | None = None
    """How the issuer proves names (tls: certManager): dns01 gets one wildcard, http01 cannot, and
    the certificates name every user. Unset is dns01 where `cluster.certificates.dns01` is, else
    http01."""
    controller: Peer = Peer(namespace="ingress-nginx")
    """Who may open connections to the door."""
    sign_in: SignIn = SignIn()
    """Who may come in."""
    trusted_proxies: Annotated[tuple[Cidr, ...], Field(max_length=50)] = ()
    """Address ranges whose X-Forwarded-For and X-Forwarded-Proto are believed; unset believes
    private ones, where ingress controllers live; signIn.mode header needs them named."""


class CpuSize(Model):
    """CPU in cores: the share a runtime is sure of, and its ceiling."""

    request: CpuQuantity
    """What is reserved, e.g. 250m."""
    limit: CpuQuantity
    """What is never passed, e.g. 2."""


class MemorySize(Model):
    """Memory in bytes: the share a runtime is sure of, and its ceiling."""

    request: MemoryQuantity
    """What is reserved, e.g. 512Mi."""
    limit: MemoryQuantity
    """What is never passed, e.g. 2Gi."""


class Profile(Workspace, Placement):
    """A named size and set of options of runtimes."""

    cpu: CpuSize = CpuSize(request="250m", limit="2")
    """Processor time."""
    memory: MemorySize = MemorySize(request="512Mi", limit="2Gi")
    """Memory; a runtime beyond its limit is restarted."""
    storage: MemoryQuantity = "10Gi"
    """Size of the user's claim; it can grow where the StorageClass allows, never shrink."""
    ephemeral_storage: MemoryQuantity = "4Gi"
    """Ceiling of what is lost at a restart: /tmp, the home folder, logs."""
    idle: Idle = Idle()
    """When runtimes of this size sleep; before the environment's."""
    models: ModelChoice = ModelChoice()
    """Which models users of this profile have."""


class Scene(Model):
    """A prepared working context: a folder beside the stack file, or one on the shared NAS."""

    path: RelativePath | None = None
    """A folder beside the stack file; its files become ConfigMaps."""
    nas_path: RelativePath | None = None
    """A folder of the shared claim."""
    title: Line | None = None
    """What the front page calls it; unset is the first heading of AGENTS.md."""
    description: Line | None = None
    """What stands below the title; unset is the first paragraph of AGENTS.md."""
    version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    """Raise it to restart the users of a scene on the shared claim after its files changed."""
    mounts: Annotated[tuple[Mount, ...], Field(max_length=20)] = ()
    """Files and data that users of this scene get beside it."""


class UserState(StrEnum):
    """Whether a user's runtime runs."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class User(Workspace):
    """One person with one runtime."""

    id: UserId
    """Identifies the user, and their data, for ever."""
    display_name: Line | None = None
    """What people read; changing it restarts nothing."""
    login: Line | None = None
    """What the provider or the proxy in front calls the user; unset is the id."""
    admin: bool = False
    """Sees everybody's state on the front page and may restart, suspend and wake; no content."""
    scenes: Annotated[tuple[SceneId, ...], Field(max_length=_MAX_SCENES)] = ()
    """Working contexts this user finds under /app."""
    profile: ProfileName = "standard"
    """Size of the runtime."""
    pool: PoolName = "default"
    """Namespace the runtime is in; moving to another leaves the data behind."""
    state: UserState = UserState.ACTIVE
    """`suspended` keeps everything but the pod."""
    password_version: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    """Raise it to get a new password."""
    models: ModelChoice = ModelChoice()
    """Which models this user has."""
    api_keys: Annotated[dict[ProviderId, SecretKey], Field(max_length=20)] = Field(
        default_factory=dict[str, str]
    )
    """Top-level secret keys with API keys of this user's own, by provider."""
    git: UserGit = UserGit()
    """Who this user is to git."""
    idle: Idle = Idle()
    """When this user's runtime sleeps; before the profile's and the environment's."""


class Quota(Model):
    """Totals that a pool's active users may request."""

    cpu: CpuQuantity | None = None
    """Sum of the CPU requests of active users."""
    memory: MemoryQuantity | None = None
    """Sum of the memory requests of active users."""
    storage: MemoryQuantity | None = None
    """Sum of the claims, the shared one and those of former users included."""


class Pool(Model):
    """A namespace with users in it."""

    quota: Quota = Quota()
    """Totals that Kubernetes enforces."""


class StacksPer(StrEnum):
    """What has a stack of its own."""

    ENVIRONMENT = "environment"
    POOL = "pool"


class Stacks(Model):
    """Into how many Pulumi stacks the environment is divided."""

    per: StacksPer = StacksPer.ENVIRONMENT
    """`pool` gives each pool a stack of its own beside a base stack, for hundreds of users."""


class StackConfig(Workspace):
    """All keys of `opencode-fleet:` in a stack file, secrets aside."""

    cluster: Cluster
    """Where it runs."""
    image: Image = Image()
    """The runtime image: who makes it, from what."""
    access: Access
    """How users reach their workspaces."""
    door: Door = Door()
    """What stands between browsers and workspaces."""
    idle: Idle = Idle()
    """When runtimes that nobody uses sleep; off unless written."""
    agent_control: AgentControl = AgentControl()
    """A control plane of the company's own."""
    providers: Annotated[dict[ProviderId, Provider], Field(max_length=20)] = Field(
        default_factory=dict[str, Provider]
    )
    """Who answers prompts, by a name of your own; without one workspaces have no model."""
    models: Models | None = None
    """Which of the providers' models workspaces start with."""
    managed_config: ManagedConfig = Field(default_factory=dict[str, JsonValue])
    """OpenCode settings that hold in every workspace: MCP servers, permissions, instructions."""
    git: Git = Git()
    """Forges that workspaces can open."""
    profiles: dict[ProfileName, Profile] = Field(default_factory=dict)
    """Sizes by name; `standard` exists without being written."""
    scenes: dict[SceneId, Scene] = Field(default_factory=dict)
    """Prepared working contexts by name."""
    pools: dict[PoolName, Pool] = Field(default_factory=dict)
    """Namespaces by name; `default` exists without being written."""
    storage: Storage = Storage()
    """Where data lives."""
    network: Network = Network()
    """What runtimes may reach beyond the public internet."""
    stacks: Stacks = Stacks()
    """Into how many Pulumi stacks the environment is divided."""
    backup: Backup | None = None
    """Nightly backups; without it there are none."""
    users: tuple[User, ...]
    """The roster."""
    purge: tuple[UserId, ...] = ()
    """Former users whose claims and data are to be deleted for good, each id typed in full."""

    def profile(self, name: str) -> Profile | None:
        """Return a profile by name; `standard` exists without being written."""
        return self.profiles.get(name) or (Profile() if name == "standard" else None)
