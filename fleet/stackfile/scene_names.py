"""Names of scene files, and the keys they get in a ConfigMap.

Owns: which names a scene may have, the escape that takes any of them into a key and back. Leaves
out: where in a scene a file may stand (`scene_files`).
"""

from __future__ import annotations

import re
import unicodedata

# k8s.io/apimachinery validation: IsConfigMapKey.
KEY_MAX = 253
TOO_LONG = f"a path in a scene has at most {KEY_MAX} characters (/ counts twice)"
_PLAIN = re.compile(r"[A-Za-z0-9.-]|_(?=[A-Za-z0-9-])")
_ESCAPED = re.compile(r"__|(?:_\.[0-9A-F]{2})+")


def config_map_key(path: str) -> str:
    """Return the ConfigMap key of a scene file, from which `scene_path` makes the path again.

    Keys have ASCII letters, digits, `.`, `-` and `_` only: `/` becomes `__`, whatever else has no
    place becomes `_.` and two hex digits for each byte.
    """
    return "__".join(_escaped(part) for part in path.split("/"))


def _escaped(part: str) -> str:
    if part.isascii() and part.replace(".", "").replace("-", "").isalnum():
        return part
    out: list[str] = []
    for index, letter in enumerate(part):
        if _PLAIN.match(part, index):
            out.append(letter)
        else:
            out.extend(f"_.{byte:02X}" for byte in letter.encode())
    return "".join(out)


def scene_path(key: str) -> str:
    """Return the path of a scene file from its key in a ConfigMap."""
    return _ESCAPED.sub(_letter, key)


def _letter(found: re.Match[str]) -> str:
    return "/" if found[0] == "__" else bytes.fromhex(found[0].replace("_.", "")).decode()


def composed(name: str) -> str:
    """Return a name as one text, however the file system that holds it splits its accents."""
    return unicodedata.normalize("NFC", name)


def name_rule(path: str) -> tuple[str, str] | None:
    """Return (rule, what to change) when a path has a name that cannot be mounted everywhere."""
    for part in path.split("/"):
        if not part.isprintable() or "\\" in part:
            return "file names have printable characters and no backslash", "rename it"
        if part.startswith("..") or part != part.strip():
            return "file names do not start with two dots, nor have blanks at the ends", "rename it"
    return None
