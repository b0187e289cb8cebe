"""How the runtime image reaches the nodes: a repository, or a copy over SSH.

Leaves out: building and pushing (`image`), the login to pull with (`pull_secret`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import pulumi
import pulumi_alicloud as alicloud
import pulumi_command as command

from fleet.alicloud.config_access import AcrInstance


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryArgs:
    """Where to make the repository."""

    acr: AcrInstance


class Repository(pulumi.ComponentResource):
    """Namespace and private repositories in an Enterprise instance of Container Registry."""

    path: pulumi.Output[str]
    """Namespace and the runtime's repository, as they stand behind the registry's host."""

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
        images = {"": "OpenCode runtime of opencode-fleet", "-door": "Door of opencode-fleet"}
        repository, _ = (
            alicloud.cs.RegistryEnterpriseRepo(
                f"{name}-repository{suffix}",
                instance_id=args.acr.instance_id,
                namespace=namespace.name,
                name=f"{args.acr.repository}{suffix}",
                summary=summary,
                repo_type="PRIVATE",
                # Images are pushed from outside of the state: deleting a repository deletes them.
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            for suffix, summary in images.items()
        )
        self.path = pulumi.Output.concat(namespace.name, "/", repository.name)
        self.register_outputs({"path": self.path})


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
