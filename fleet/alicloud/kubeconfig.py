"""The kubeconfig of a machine, made of its answer and a key that never left this program's state.

Leaves out: how the answer is asked for (`components.alicloud.vm_access`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

ANSWER = "FLEET-ACCESS "


@dataclass(frozen=True)
class Access:
    """What a machine answers: public, all of it.

    No tuple: Outputs turn a named tuple into a plain one.
    """

    ca: str
    """The cluster's CA certificate, PEM in base64."""
    certificate: str
    """The program's client certificate, PEM in base64."""
    host_keys: tuple[str, ...]
    """The machine's SSH host keys, one a line as in known_hosts, without the host."""


def read_answer(output: str) -> Access:
    """Read a machine's answer; raises ValueError when the output holds none."""
    lines = [line for line in output.splitlines() if line.startswith(ANSWER)]
    if not lines:
        raise ValueError("the machine's answer to the access request is missing")
    answer = cast("Mapping[str, Any]", json.loads(lines[-1].removeprefix(ANSWER)))
    keys = base64.b64decode(answer["hostKeys"]).decode().splitlines()
    return Access(answer["ca"], answer["certificate"], tuple(" ".join(k.split()[:2]) for k in keys))


def kubeconfig(server: str, access: Access, private_key: str) -> str:
    """Return the kubeconfig of a machine's cluster; `private_key` is PEM."""
    key = base64.b64encode(private_key.encode()).decode()
    return kubeconfig_of(server, access.ca, access.certificate, key)


def kubeconfig_of(server: str, ca: str, certificate: str, key: str) -> str:
    """Return a kubeconfig with one context, `opencode-fleet`; all but `server` in base64."""
    name = "opencode-fleet"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": ca},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": certificate,
                    "client-key-data": key,
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def known_hosts(host: str, access: Access) -> str:
    """Return known_hosts lines for `host`."""
    return "".join(f"{host} {key}\n" for key in access.host_keys)
