"""Writing a sealed secret into a stack file, every other byte untouched.

Lines are edited and the result is read back, not written by a library: ruamel.yaml keeps comments
and order, but sets spaces anew (`a:  {b: 1}` becomes `a: {b: 1}`), and its edits would stand in
the next review as changes of somebody else's lines.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from fleet.errors import InputError, Problem
from fleet.names import PROJECT, SEED_KEY
from fleet.stackfile.problems import from_pydantic
from fleet.stackfile.project_file import locate
from fleet.stackfile.reading import STRUCTURED_KEYS
from fleet.stackfile.sealed import Seal, SealError
from fleet.values.scalars import SecretKey
from fleet.values.secrecy import seed_problem


def seal_into(stack: str, folder: Path, key: str, value: str, passphrase: str) -> Path:
    """Seal `value` under `opencode-fleet:<key>` of a stack file; raise InputError if it cannot."""
    path, _ = locate(stack, folder)
    _check(key, value)
    text = path.read_text(encoding="utf-8")
    salt = re.search(r"^encryptionsalt: *(\S+) *$", text, re.MULTILINE)
    try:
        seal = Seal.unlock(salt[1], passphrase) if salt else Seal.create(passphrase)
    except SealError as error:
        change = "check PULUMI_CONFIG_PASSPHRASE"
        raise InputError([Problem(key, "[secret]", str(error), change)]) from None
    if salt is None:
        text = text.rstrip("\n") + f"\nencryptionsalt: {seal.salt_line}\n"
    changed = _with_key(text, key, seal.close(value))
    replace_file(path, changed)
    return path


def _check(key: str, value: str) -> None:
    try:
        TypeAdapter(SecretKey).validate_python(key)
    except ValidationError as error:
        raise InputError(from_pydantic(error, "KEY")) from None
    if key in STRUCTURED_KEYS:
        raise InputError([Problem("KEY", key, "this key is no secret", "edit the stack file")])
    if not value:
        rule = "a secret is not empty"
        raise InputError([Problem(key, "[secret]", rule, "give it on standard input")])
    problem = seed_problem(value) if key == SEED_KEY else None
    if problem is not None:
        raise InputError([problem])


def _with_key(text: str, key: str, sealed: str) -> str:
    """Return the text with the key's line replaced, or added as the first of `config:`."""
    name = f"{PROJECT}:{key}"
    line = f"  {name}: {{secure: {sealed}}}\n"
    existing = re.compile(rf"^  {re.escape(name)}:.*\n(?:    .*\n)*", re.MULTILINE)
    if existing.search(text):
        changed = existing.sub(lambda _: line, text, count=1)
    else:
        changed = re.sub(r"^config: *\n", lambda match: match[0] + line, text, count=1, flags=re.M)
    content = yaml.safe_load(changed)
    if content.get("config", {}).get(name) != {"secure": sealed}:
        rule = "the file's `config:` is not written as block lines"
        raise InputError([Problem(name, "[secret]", rule, "write `config:` on a line of its own")])
    return changed


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all: a full disk leaves the old one."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    os.chmod(draft, path.stat().st_mode & 0o777)  # noqa: PTH101 - keeps the mode in one line
    draft.replace(path)
