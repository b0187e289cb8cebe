"""Which cluster is meant: one context of the operator's kubeconfig, or of one we are given.

Owns: finding and merging kubeconfig files as kubectl does, the exec plugin of a context. Leaves
out: certificates, tokens and proxies, which the `kubernetes` package reads from what is chosen
here, and all talking (`connection`).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from fleet.errors import InputError, Problem, shown

_LISTS = ("clusters", "contexts", "users")
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """One context, with the cluster and the user it names."""

    name: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    folder: Path | None
    """The folder of the file that has the user: relative programs start there."""

    @property
    def plugin(self) -> dict[str, Any] | None:
        """What the user's credentials are asked of, when a program gives them."""
        return self.user.get("exec")

    def client_certificate(self) -> str | None:
        """Return the user's certificate, PEM in base64; None without one that can be read."""
        given = self.user.get("client-certificate-data")
        if isinstance(given, str):
            return given
        path = self.user.get("client-certificate")
        try:
            return base64.b64encode(Path(path).read_bytes()).decode() if path else None
        except OSError:
            return None

    def as_kubeconfig(self, credentials: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a kubeconfig of this context alone; `credentials` instead of the exec plugin."""
        user = {key: value for key, value in self.user.items() if key != "exec"}
        return {
            "current-context": self.name,
            "contexts": [{"name": self.name, "context": {"cluster": "it", "user": "we"}}],
            "clusters": [{"name": "it", "cluster": self.cluster}],
            "users": [{"name": "we", "user": {**user, **(credentials or {})}}],
        }


def choose(name: str | None, content: str | None = None) -> Context:
    """Return a context of the kubeconfig files, or of a kubeconfig's content; default the current.

    A context that is not there is wrong input, not a cluster that fails.
    """
    parts = list(_files() if content is None else [_read(content, None)])
    merged: dict[str, dict[str, dict[str, Any]]] = {key: {} for key in _LISTS}
    for part in parts:
        for key in _LISTS:
            for item in _items(part, key):
                # As with kubectl, the first file that has a name wins.
                merged[key].setdefault(str(item.get("name")), item)
    if name is None:
        name = next((str(part["current-context"]) for part in parts if _current(part)), "")
    context = _inner(merged["contexts"].get(name), "context")
    if context is None:
        names = shown(", ".join(merged["contexts"]))
        change = f"use one of {names}" if merged["contexts"] else "your kubeconfig is empty"
        raise _wrong(name, "no such context in your kubeconfig", change)
    cluster = _inner(merged["clusters"].get(str(context.get("cluster"))), "cluster")
    if cluster is None or not cluster.get("server"):
        raise _wrong(name, "its cluster has no server in your kubeconfig", "add it there")
    user = merged["users"].get(str(context.get("user")), {})
    folder = user.get("folder")
    return Context(name=name, cluster=cluster, user=_inner(user, "user") or {}, folder=folder)


def _wrong(name: str, rule: str, change: str) -> InputError:
    return InputError([Problem("cluster.context", name, rule, change)])


def _files() -> Iterator[dict[str, Any]]:
    given = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    for name in filter(None, given.split(os.pathsep)):
        path = Path(name).expanduser()
        if path.exists():
            yield _read(path.read_text(encoding="utf-8", errors="replace"), path)


def _read(text: str, path: Path | None) -> dict[str, Any]:
    where = str(path) if path else "the cluster's own"
    try:
        content: object = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        raise InputError([Problem("kubeconfig", where, "not a YAML mapping", "mend it")])
    part = cast("dict[str, Any]", content)
    if path is not None:
        for key in ("clusters", "users"):
            for item in _items(part, key):
                item["folder"] = path.parent
                _anchor(_inner(item, key[:-1]) or {}, path.parent)
    return part


def _anchor(settings: dict[str, Any], folder: Path) -> None:
    """Make the files that settings name independent of the folder we are in."""
    for key in _PATHS:
        if settings.get(key):
            settings[key] = str(folder / str(settings[key]))


def _items(part: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = part.get(key)
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _inner(item: Mapping[str, Any] | None, key: str) -> dict[str, Any] | None:
    value = item.get(key) if item else None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _current(part: Mapping[str, Any]) -> bool:
    return bool(part.get("current-context"))
