"""The nodes' login at an image registry, as a Secret that every pool gets a copy of.

Short because which registry it is belongs to the cluster, the copies to the pool's component.
"""

from __future__ import annotations

import json

import pulumi

from fleet.manifests.pool import SharedSecret
from fleet.manifests.user import secret_text
from fleet.names import PULL_SECRET


def pull_secret(server: str, username: str, password: pulumi.Output[str]) -> SharedSecret:
    """Return the Secret with one login; `password` is a secret."""
    login = password.apply(lambda known: secret_text(docker_login(server, username, known)))
    return SharedSecret(
        name=PULL_SECRET,
        type="kubernetes.io/dockerconfigjson",
        data={".dockerconfigjson": login},
    )


def docker_login(server: str, username: str, password: str) -> str:
    """Return a Docker configuration with one login."""
    token = secret_text(f"{username}:{password}")
    login = {"username": username, "password": password, "auth": token}
    return json.dumps({"auths": {server: login}})
