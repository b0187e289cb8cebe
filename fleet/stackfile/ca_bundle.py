"""The file of `network.caBundle`: authorities that workspaces trust beside the public ones.

Short because reading a stack file needs it, and so does nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509

from fleet.errors import Problem

_KEY = "network.caBundle"
_MOST = 512 * 1024
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----\n")


def read_ca_bundle(path: str | None, root: Path) -> tuple[str | None, list[Problem]]:
    """Return the certificates of a PEM file below `root`, less its comments, and its problems."""
    if path is None:
        return None, []
    try:
        return _certificates(root / path), []
    except OSError as error:
        rule, change = f"cannot be read ({error.strerror})", "mend the path"
    except UnicodeDecodeError:
        rule, change = "it is PEM, which is text", "convert it: openssl x509 -inform der"
    except _RefusedError as refused:
        rule, change = refused.rule, refused.change
    return None, [Problem(_KEY, path, rule, change)]


class _RefusedError(Exception):
    def __init__(self, rule: str, change: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.change = change


def _certificates(file: Path) -> str:
    if file.stat().st_size > _MOST:
        raise _RefusedError(f"it has at most {_MOST} bytes", "keep your own authorities only")
    text = file.read_text(encoding="utf-8").replace("\r\n", "\n").rstrip("\n") + "\n"
    if "PRIVATE KEY" in text:
        raise _RefusedError("it holds a private key", "take it out; only certificates belong here")
    blocks: list[str] = _BLOCK.findall(text)
    try:
        found = x509.load_pem_x509_certificates("".join(blocks).encode())
    except ValueError:
        found = []
    if not found or len(found) != text.count("-----BEGIN "):
        raise _RefusedError("a certificate in it cannot be read", "export it again as PEM")
    return "".join(blocks)
