"""Opening the secrets of a stack file, for the commands that use one of them.

Leaves out: the sealing itself (`sealed`), which secrets there should be (`rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fleet.errors import InputError, Problem
from fleet.names import SEED_KEY
from fleet.stackfile.project_file import locate, mapping, read_yaml
from fleet.stackfile.reading import own_keys, sealed_text
from fleet.stackfile.sealed import Seal, SealError
from fleet.values.secrecy import seed_problem

Passphrase = Callable[[], str | None]
"""Where the passphrase comes from; asked for only when a secret is to be opened."""
_SHOWN = "[secret]"
_MEND = "check PULUMI_CONFIG_PASSPHRASE, or set the secret anew"


def unseal(stack: str, folder: Path, passphrase: Passphrase) -> dict[str, str]:
    """Return every secret of a stack file in clear, by its key; none where none is sealed.

    Raises InputError with every secret that cannot be opened or holds what no secret may hold.
    """
    path, _ = locate(stack, folder)
    content = read_yaml(path)
    keys = own_keys(mapping(content.get("config")))
    sealed = {key: text for key, value in keys.items() if (text := sealed_text(value)) is not None}
    if not sealed:
        return {}
    seal = _seal(content, next(iter(sealed)), passphrase)
    secrets: dict[str, str] = {}
    problems: list[Problem] = []
    for key, text in sealed.items():
        try:
            secrets[key] = seal.open(text)
        except SealError as error:
            problems.append(Problem(key, _SHOWN, str(error), _MEND))
            continue
        problem = _content_problem(key, secrets[key])
        if problem is not None:
            problems.append(problem)
    if problems:
        raise InputError(problems)
    return secrets


def _content_problem(key: str, secret: str) -> Problem | None:
    if "\0" in secret or not secret.strip():
        rule = "a secret is a text without NUL, and not empty"
        return Problem(key, _SHOWN, rule, "set it anew")
    return seed_problem(secret) if key == SEED_KEY else None


def _seal(content: Mapping[str, object], key: str, passphrase: Passphrase) -> Seal:
    salt = content.get("encryptionsalt")
    if not isinstance(salt, str):
        rule = "the file's secrets are not sealed with a passphrase (no encryptionsalt)"
        change = "deploy with `pulumi up`, which knows its secrets provider"
        raise InputError([Problem(key, _SHOWN, rule, change)])
    word = passphrase()
    if word is None:
        rule = "it cannot be read without the stack's passphrase"
        change = "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"
        raise InputError([Problem(key, _SHOWN, rule, change)])
    try:
        return Seal.unlock(salt, word)
    except SealError as error:
        raise InputError([Problem(key, _SHOWN, str(error), _MEND)]) from None
