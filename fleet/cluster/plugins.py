"""Credentials that a program gives: the exec plugin of a kubeconfig's user.

The `kubernetes` package runs plugins too, but goes on as nobody when one fails and only logs why;
here its runner is called directly, so that a failure has its reason. Leaves out: everything else
of a kubeconfig (`contexts`).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any, cast

from kubernetes.config import exec_provider, kube_config
from kubernetes.config.config_exception import ConfigException

from fleet.cluster.away import within
from fleet.cluster.contexts import Context
from fleet.cluster.untrusted import one_line
from fleet.errors import AwayError

_PATIENCE = 60.0
_CERTIFICATE = {
    "client-certificate-data": "clientCertificateData",
    "client-key-data": "clientKeyData",
}


def ask_plugin(context: Context) -> dict[str, str]:
    """Run the plugin of a context's user; return what its kubeconfig would say instead."""
    plugin = dict(context.plugin or {})
    command = str(plugin.get("command", ""))
    if context.folder is not None and os.sep in command:
        plugin["command"] = str(context.folder / command)
    # Neither is annotated.
    node = cast("Callable[..., Any]", kube_config.ConfigNode)
    provider = cast("Callable[..., Any]", exec_provider.ExecProvider)

    def run() -> Mapping[str, Any]:
        asked = provider(node("exec", plugin), None, node("cluster", context.cluster))
        return cast("Mapping[str, Any]", asked.run())

    try:
        status = within(_PATIENCE, run, _none(context, f"no answer in {_PATIENCE:g} s"))
    except FileNotFoundError:
        hint = one_line(str(plugin.get("installHint") or ""), 200)
        raise _none(context, "no such program", hint or "install it") from None
    except (ConfigException, OSError) as error:
        raise _none(context, str(error)) from None
    if status.get("token"):
        return {"token": str(status["token"])}
    if not all(status.get(name) for name in _CERTIFICATE.values()):
        raise _none(context, "it gave neither a token nor a certificate")
    return {
        key: base64.b64encode(str(status[name]).encode()).decode()
        for key, name in _CERTIFICATE.items()
    }


def _none(context: Context, reason: str, change: str = "") -> AwayError:
    command = one_line(str((context.plugin or {}).get("command", "")), 80)
    change = change or "run it by hand to see more, or sign in again"
    return AwayError(
        f"cluster.context: {context.name}: no credentials from the exec plugin {command}"
        f" ({one_line(reason, 200)}): {change}"
    )
