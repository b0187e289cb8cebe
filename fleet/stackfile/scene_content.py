"""What would make a scene useless in a workspace, found in the text of its files.

Owns: settings that the environment overrides, settings OpenCode refuses, skills it does not find,
tools that cannot be loaded, credentials. Leaves out: which files a scene may have (`scene_files`).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import cast

from fleet.errors import Problem, looks_secret, shown
from fleet.stackfile.opencode_schema import config_faults
from fleet.stackfile.yaml_text import YamlError, parse_yaml

CONFIG = ".opencode/opencode.json"
# What the managed configuration sets in every workspace, which beats a scene's.
_MANAGED = (
    "autoshare",
    "autoupdate",
    "disabled_providers",
    "enabled_providers",
    "model",
    "provider",
    "server",
    "share",
    "small_model",
)
_TOOLS = ".opencode/tools/"
# In the image's /node_modules, without a network.
_SHIPPED = frozenset({"@opencode-ai/plugin", "@opencode-ai/sdk", "zod", "effect"})
_NODE = re.compile(
    "assert|async_hooks|buffer|bun|child_process|cluster|console|constants|crypto|dgram|dns|domain"
    "|events|fs|http|http2|https|module|net|os|path|perf_hooks|process|punycode|querystring"
    "|readline|repl|stream|string_decoder|sys|timers|tls|tty|url|util|v8|vm|wasi|worker_threads"
    "|zlib"
)
_IMPORT = re.compile(
    r"""^\s*import\s+(?!type\s)(?:[\w*{}\s,$]+?\s+from\s*)?['"](?P<a>[^'"\n]+)['"]"""
    r"""|^\s*export\s+(?!type\s)[\w*{}\s,$]+?\s+from\s*['"](?P<c>[^'"\n]+)['"]"""
    r"""|\b(?:import|require)\s*\(\s*['"](?P<b>[^'"\n]+)['"]\s*\)""",
    re.MULTILINE,
)
_COMMENT = re.compile(r"/\*.*?\*/|^\s*//[^\n]*", re.DOTALL | re.MULTILINE)


def content_problems(key: str, files: list[tuple[str, str]]) -> Iterator[Problem]:
    """Yield the problems of the files (path, text) of one scene, told under `key`."""
    names = {name for name, _ in files}
    for name, text in files:
        for rule, change in _of_file(name, text, names):
            yield Problem(key, shown(name), rule, change)


def _of_file(name: str, text: str, names: set[str]) -> Iterator[tuple[str, str]]:
    if looks_secret(text):
        rule = "it holds a credential in clear, which everybody who has the scene can read"
        yield rule, "take it out, change it where it was issued, give it to users as a secret"
    if name == CONFIG:
        yield from _config(text)
    elif name.startswith(".opencode/agents/") or name.endswith("/SKILL.md"):
        yield from _front_matter(name, text)
    elif name.startswith(_TOOLS) and name.endswith((".ts", ".js", ".mjs", ".mts")):
        yield from _imports(name, text, names)


def _config(text: str) -> Iterator[tuple[str, str]]:
    try:
        value = cast("object", json.loads(text))
    except json.JSONDecodeError as error:
        change = "write {…} without comments or a last comma"
        yield f"not JSON, from line {error.lineno} on", change
        return
    except (ValueError, RecursionError):
        change = "write {…} without comments or a last comma"
        yield "not JSON that is read here (huge numbers, endless nesting)", change
        return
    if not isinstance(value, dict):
        yield "opencode.json is a JSON object", "write {…} without comments or a last comma"
        return
    config = cast("Mapping[str, object]", value)
    for word in _MANAGED:
        if word in config:
            yield f"{word} is what the environment decides", f"remove {word}"
    for place, rule, change in config_faults(config):
        if place.partition(".")[0] not in _MANAGED:
            yield f"{place}: {rule}", change


def _front_matter(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a file's YAML front matter, for which OpenCode skips it silently."""
    skill = name.endswith("/SKILL.md")
    value = _front_matter_of(text)
    change = "begin the file with ---, description: …, ---"
    if isinstance(value, str):
        yield value, change
        return
    for word in ("name", "description") if skill else ("description",):
        if word not in value:
            yield f"its front matter lacks {word}", change
            return
        if not isinstance(value[word], str) or not str(value[word]).strip():
            yield f"its front matter's {word} is no text", change
            return
    folder = name.split("/")[-2]
    if skill and value["name"] != folder:
        yield f"OpenCode finds a skill by its folder, {shown(folder)}", f"write name: {folder}"


def _front_matter_of(text: str) -> Mapping[str, object] | str:
    """Return a file's front matter, or what is wrong with it."""
    match = re.match(r"---\r?\n(.*?)\r?\n---(\r?\n|$)", text, re.DOTALL)
    if match is None:
        return "no YAML front matter"
    try:
        # The empty line stands for the `---` above, so that line numbers are those of the file.
        value = parse_yaml(f"\n{match[1]}")
    except YamlError as error:
        return f"its front matter: {error.rule}"
    if not isinstance(value, dict):
        return "its front matter is not a YAML mapping"
    return cast("dict[str, object]", value)


def _imports(name: str, text: str, names: set[str]) -> Iterator[tuple[str, str]]:
    for found in dict.fromkeys(
        match["a"] or match["b"] or match["c"] for match in _IMPORT.finditer(_COMMENT.sub("", text))
    ):
        if found.startswith("."):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found))
            if not any(path + end in names for end in ("", ".ts", ".js", "/index.ts", "/index.js")):
                yield f"it imports {shown(found)}, which is not in the scene", "add that file"
        elif not _is_shipped(found):
            rule = f"it imports {shown(found)}, which is in no workspace: every prompt would fail"
            yield rule, "use @opencode-ai/plugin, zod and Node's own modules (node:…)"


def _is_shipped(name: str) -> bool:
    if name.startswith(("node:", "bun:")):
        return True
    parts = name.split("/")
    package = "/".join(parts[:2]) if name.startswith("@") else parts[0]
    return package in _SHIPPED or _NODE.fullmatch(package) is not None
