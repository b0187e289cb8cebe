"""What one declared resource looked like, as plain data with secrets unwrapped and marked.

Owns: the record and how it is read off the request to the engine. Leaves out: running (`engine`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the SDK's marker, not a secret)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The resource options as they went to the engine (property names in camelCase)."""

    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    replacement_trigger: Any
    additional_secret_outputs: tuple[str, ...]
    depends_on: frozenset[str]
    """Every URN depended on, by option or through an input."""
    deleted_with: str
    import_id: str
    aliases: tuple[str, ...]
    """Names under which it is known too, as the engine is told them: `type=…`, `parent=…`, or a
    whole URN."""
    timeouts: Mapping[str, str]
    version: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One declared resource: inputs in camelCase, secrets unwrapped, whole numbers as int."""

    urn: str
    typ: str
    name: str
    custom: bool
    inputs: Mapping[str, Any]
    secret_paths: frozenset[str]
    """Where secrets were, as dotted paths: `userData`, `stringData`, `spec.template`."""
    provider: str
    """`<provider's URN>::<id>`, or empty for a default provider."""
    parent: str
    options: Options

    @property
    def package(self) -> str:
        """The plugin it belongs to; for a provider, the one it is a provider of."""
        return self.typ.removeprefix("pulumi:providers:").split(":", 1)[0]

    @property
    def is_provider(self) -> bool:
        return self.typ.startswith("pulumi:providers:")

    def is_secret(self, path: str) -> bool:
        """Tell whether `path` or something it lies in was given as a secret."""
        return any(path == known or path.startswith(f"{known}.") for known in self.secret_paths)


@dataclass(frozen=True)
class Lookup:
    """One call of a provider function."""

    token: str
    args: Mapping[str, Any]
    provider: str


def open_secrets(value: Any, path: str = "") -> tuple[Any, frozenset[str]]:
    """Return `value` without secret wrappers, and the dotted paths at which they were."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        if entries.get(SIGNATURE) == SECRET:
            return open_secrets(entries["value"], path)[0], frozenset({path})
        return _open_all(entries.items(), path, dict)
    if isinstance(value, list):
        named = [(str(index), item) for index, item in enumerate(cast("list[Any]", value))]
        return _open_all(named, path, lambda found: [item for _, item in found])
    # Everything crosses the wire as a double.
    if isinstance(value, float) and value.is_integer():
        return int(value), frozenset()
    return value, frozenset()


def _open_all(
    items: Any, path: str, build: Callable[[list[tuple[str, Any]]], Any]
) -> tuple[Any, frozenset[str]]:
    found: list[tuple[str, Any]] = []
    secrets: frozenset[str] = frozenset()
    for key, item in items:
        opened, inside = open_secrets(item, f"{path}.{key}" if path else key)
        found.append((key, opened))
        secrets |= inside
    return build(found), secrets


def options_of(request: Any) -> Options:
    trigger = request.replacement_trigger
    return Options(
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        replacement_trigger=(
            open_secrets(getattr(trigger, trigger.WhichOneof("kind")))[0]
            if request.HasField("replacement_trigger")
            else None
        ),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        depends_on=frozenset(request.dependencies),
        deleted_with=request.deletedWith,
        import_id=request.importId,
        aliases=(*request.aliasURNs, *map(_alias, request.aliases)),
        timeouts={
            verb: getattr(request.customTimeouts, verb)
            for verb in ("create", "update", "delete")
            if getattr(request.customTimeouts, verb)
        },
        version=request.version,
    )


def _alias(alias: Any) -> str:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    parts = {name: getattr(alias.spec, name) for name in ("name", "type", "stack", "project")}
    parts["parent"] = alias.spec.parentUrn or ("none" if alias.spec.noParent else "")
    return " ".join(f"{name}={value}" for name, value in parts.items() if value)
