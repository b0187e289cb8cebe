"""Where the engine is, where its state and its passphrase are: the operator's settings, else ours.

Whatever the operator has set for `pulumi` holds, so that `pulumi` by hand works on the same stack.
Without settings, state and passphrase are in the user's data folder. Leaves out: running anything.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from fleet.errors import EngineError, InputError, Problem

PROGRAM = "pulumi"
PROVIDER = "pulumi-resource-kubernetes"
LANGUAGE_HOST = "pulumi-language-python"
WORD, WORD_FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"
BACKEND = "PULUMI_BACKEND_URL"
RATE = {"PULUMI_K8S_CLIENT_QPS": "300", "PULUMI_K8S_CLIENT_BURST": "600"}
"""How often the provider asks a cluster. Unset, 50 times a second would be most of a first run; the
API server, which knows how busy it is, puts off who asks too often."""
_FOLDER = "opencode-fleet"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """Where state and passphrase are."""

    backend: str | None
    """URL of the state; None where a `pulumi login` of the operator says it."""
    data: Path
    """Folder of what must outlive a checkout."""
    variables: Mapping[str, str]
    """Environment variables to add to the operator's own."""
    memory_is_set: bool = False
    """Whether the operator has said how much memory the engine may take."""
    rate_is_set: bool = False
    """Whether the operator has said how often the provider may ask the cluster."""

    @property
    def state_folder(self) -> Path | None:
        """The folder of a state that is kept in files; None for any other kind."""
        return file_path(self.backend) if self.backend else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """Pulumi's command line."""

    program: Path
    variables: Mapping[str, str]
    """Environment variables that it needs."""


def engine_settings(environ: Mapping[str, str]) -> EngineSettings:
    """Return where state and passphrase of this machine are.

    Makes the passphrase where none was ever made: losing it loses the secrets of a stack file,
    never a workspace.
    """
    data = data_folder(environ)
    variables = {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    backend = environ.get(BACKEND)
    if backend is None and not logged_in(environ):
        state = data / "pulumi"
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        backend = variables[BACKEND] = f"file://{state}"
    if not _has_passphrase(environ):
        variables[WORD_FILE] = str(_passphrase_file(data))
    return EngineSettings(
        backend=backend,
        data=data,
        variables=variables,
        memory_is_set=bool({"GOGC", "GOMEMLIMIT"} & set(environ)),
        rate_is_set=bool(set(RATE) & set(environ)),
    )


def find_engine(environ: Mapping[str, str]) -> Engine:
    """Return the engine of this machine; raise EngineError when there is none."""
    program = find_program(environ)
    if not program.with_name(PROVIDER).exists():
        return Engine(program=program, variables={})
    # Built here: its provider stands beside it, and no other can be had. Five attempts at a
    # download that cannot work would hide which one is missing.
    folders = (str(program.parent), environ.get("PATH", os.defpath))
    return Engine(
        program=program,
        variables={
            "PATH": os.pathsep.join(folders),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        },
    )


def plain_variables(engine: Engine, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what plain `pulumi` needs of an engine: for one built here, a language host too."""
    variables = dict(engine.variables)
    folder = Path(__file__).parent / "host"
    path = variables.get("PATH", environ.get("PATH", os.defpath))
    if engine.variables and shutil.which(LANGUAGE_HOST, path=path) is None:
        variables["PATH"] = os.pathsep.join((str(folder), path))
    return variables


def find_program(environ: Mapping[str, str]) -> Path:
    """Return Pulumi's command line: FLEET_ENGINE_BIN, then PATH, then the one built here."""
    given = environ.get("FLEET_ENGINE_BIN")
    on_path = shutil.which(PROGRAM, path=environ.get("PATH", os.defpath))
    named = environ.get("FLEET_ENGINE_CACHE")
    built = Path(named) if named else _folder(environ, "XDG_CACHE_HOME", ".cache") / "engine"
    candidates = [
        *([Path(given) / PROGRAM] if given else []),
        *([Path(on_path)] if on_path else []),
        *sorted(built.glob(f"*/{PROGRAM}"), key=_age, reverse=True),
    ]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate.absolute()
    raise EngineError(
        "pulumi: not found on PATH, and none was built here: install Pulumi, or run `make engine`"
    )


def _age(path: Path) -> float:
    return path.stat().st_mtime


def data_folder(environ: Mapping[str, str]) -> Path:
    """Return the user's folder for state, passphrase and seeds."""
    return _folder(environ, "XDG_DATA_HOME", ".local/share")


def _folder(environ: Mapping[str, str], variable: str, default: str) -> Path:
    given = environ.get(variable, "")
    # By the XDG rules a relative path is to be ignored.
    root = Path(given) if given.startswith("/") else _home(environ) / default
    return root / _FOLDER


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def logged_in(environ: Mapping[str, str]) -> bool:
    """Return whether the operator has said where states are by `pulumi login`, or by a token."""
    if environ.get("PULUMI_ACCESS_TOKEN") or environ.get("PULUMI_API"):
        return True
    home = Path(environ.get("PULUMI_HOME") or _home(environ) / ".pulumi")
    try:
        content = json.loads((home / "credentials.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(content, dict):
        return False
    return bool(cast("dict[str, object]", content).get("current"))


def file_path(url: str) -> Path | None:
    """Return the folder that a `file://` URL names; None for any other URL."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    path = unquote(parts.netloc + parts.path)
    return Path(path).expanduser()


def _has_passphrase(environ: Mapping[str, str]) -> bool:
    return WORD in environ or WORD_FILE in environ


def passphrase(environ: Mapping[str, str]) -> str | None:
    """Return the passphrase of stack files from where Pulumi looks for it, else ours."""
    word = environ.get(WORD)
    if word is not None:
        return word
    given = environ.get(WORD_FILE)
    if given:
        return _read_passphrase(Path(given))
    ours = data_folder(environ) / "passphrase"
    return _read_passphrase(ours) if ours.exists() else None


def ensure_passphrase(environ: Mapping[str, str]) -> str:
    """Return the passphrase of stack files; make one when there is none yet."""
    word = passphrase(environ)
    return word if word is not None else _read_passphrase(_passphrase_file(data_folder(environ)))


def _read_passphrase(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        rule, change = f"cannot be read ({why})", "mend the path, its rights or its content"
        raise InputError([Problem(WORD_FILE, str(path), rule, change)]) from None


def _passphrase_file(data: Path) -> Path:
    path = data / "passphrase"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    return path


def write_private(path: Path, text: str) -> None:
    """Write a new file that only this user may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
