"""The same rules over YAML: of standard input (`fleet render -o -`), or of files and folders.

Exit code 1 when a rule is broken, 2 when something cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from policy.declared import Item
from policy.kubernetes import RULES


def items_of(text: str) -> Iterator[Item]:
    """Yield the Kubernetes objects of a YAML text; raises yaml.YAMLError."""
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict):
            manifest = cast("dict[str, Any]", document)
            if manifest.get("kind") and manifest.get("apiVersion"):
                yield _item(manifest)


def _item(manifest: dict[str, Any]) -> Item:
    version, kind = manifest["apiVersion"], manifest["kind"]
    metadata = cast("dict[str, Any]", manifest.get("metadata") or {})
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return Item(
        typ=f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}",
        name=f"{kind} {place}{metadata.get('name')}",
        inputs=manifest,
    )


def offences(items: Sequence[Item]) -> list[str]:
    """Return a line for each offence, with the rule's name in front."""
    return [f"{name}: {line}" for name, rule in RULES.items() for line in rule(items)]


def _texts(paths: Sequence[str]) -> Iterator[str]:
    if not paths:
        yield sys.stdin.read()
    for name in paths:
        path = Path(name)
        files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        for file in files:
            if file.name != "kustomization.yaml":
                yield file.read_text(encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Check standard input, or files and folders; return the exit code."""
    try:
        items = [item for text in _texts(arguments) for item in items_of(text)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        sys.stderr.write(f"policy: {error}\n")
        return 2
    found = offences(items)
    for line in found:
        sys.stdout.write(f"{line}\n")
    if not found:
        sys.stderr.write(f"policy: {len(items)} objects, no offence\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
