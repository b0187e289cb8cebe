"""How the runtime image reaches the nodes: a repository with a pull secret, or a copy over SSH.

Leaves out: building and pushing (`image`).
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files

import pulumi
import pulumi_alicloud as alicloud
import pulumi_command as command
import pulumi_kubernetes as k8s

from fleet.alicloud.config_access import AcrInstance
from fleet.names import PULL_SECRET


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryArgs:
    """Where to make the repository."""

    acr: AcrInstance


class Repository(pulumi.ComponentResource):
    """Namespace and private repository in an Enterprise instance of Container Registry."""

    path: pulumi.Output[str]
    """Namespace and repository, as they stand behind the registry's host."""

    def __init__(
        self, name: str, args: RepositoryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:registry:Repository", name, None, opts)
        namespace = alicloud.cs.RegistryEnterpriseNamespace(
            f"{name}-namespace",
            instance_id=args.acr.instance_id,
            name=args.acr.namespace,
            auto_create=False,
            default_visibility="PRIVATE",
            opts=pulumi.ResourceOptions(parent=self),
        )
        repository = alicloud.cs.RegistryEnterpriseRepo(
            f"{name}-repository",
            instance_id=args.acr.instance_id,
            namespace=namespace.name,
            name=args.acr.repository,
            summary="OpenCode runtime of opencode-fleet",
            repo_type="PRIVATE",
            # Images are pushed from outside of the state: deleting the repository deletes them.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        self.path = pulumi.Output.concat(namespace.name, "/", repository.name)
        self.register_outputs({"path": self.path})


@dataclass(frozen=True, kw_only=True, slots=True)
class PullSecretArgs:
    """Who pulls from where, and in which namespaces."""

    server: str
    username: str
    password: pulumi.Input[str]
    namespaces: tuple[str, ...]


class PullSecret(pulumi.ComponentResource):
    """The nodes' login at the registry, once a namespace."""

    secret_name: str
    """The Secret's name in every namespace."""

    def __init__(
        self, name: str, args: PullSecretArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:registry:PullSecret", name, None, opts)
        self.secret_name = PULL_SECRET
        password = pulumi.Output.secret(args.password)
        login = password.apply(lambda known: docker_login(args.server, args.username, known))
        for namespace in args.namespaces:
            k8s.core.v1.Secret(
                f"{name}-pull-secret-in-{namespace}",
                metadata={"name": PULL_SECRET, "namespace": namespace},
                type="kubernetes.io/dockerconfigjson",
                string_data={".dockerconfigjson": login},
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"secretName": self.secret_name})


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageCopyArgs:
    """Which image of the local daemon goes to which machine."""

    image: pulumi.Input[str]
    image_id: pulumi.Input[str]
    """Changes with the content; a change copies again."""
    host: pulumi.Input[str]
    known_hosts: pulumi.Input[str]
    private_key: pulumi.Input[str | None] = None
    """The generated login key; without it ssh uses its agent and its own files."""


class ImageCopy(pulumi.ComponentResource):
    """An image carried from the operator's Docker daemon into the machine's k3s, over SSH."""

    image: pulumi.Output[str]
    """The image reference, once the machine holds it."""

    def __init__(
        self, name: str, args: ImageCopyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode-fleet:registry:ImageCopy", name, None, opts)
        copied = command.local.Command(
            f"{name}-copy",
            create=(files("fleet.alicloud") / "files" / "copy-image.sh").read_text(
                encoding="utf-8"
            ),
            interpreter=["/bin/bash", "-c"],
            environment={
                "FLEET_IMAGE": args.image,
                "FLEET_HOST": args.host,
                "FLEET_KNOWN_HOSTS": args.known_hosts,
                "FLEET_LOGIN_KEY": pulumi.Output.from_input(args.private_key).apply(
                    lambda key: key or ""
                ),
            },
            triggers=[args.image_id, args.host],
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Whoever uses the reference waits for the copy.
        waited = pulumi.Output.all(image=args.image, copied=copied.stdout)
        self.image = waited.apply(lambda known: known["image"])
        self.register_outputs({"image": self.image})


def docker_login(server: str, username: str, password: str) -> str:
    """Return a Docker configuration with one login."""
    token = b64encode(f"{username}:{password}".encode()).decode()
    login = {"username": username, "password": password, "auth": token}
    return json.dumps({"auths": {server: login}})
