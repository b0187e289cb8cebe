"""What pods and clusters say is data: made safe to print here.

A user of a runtime decides what its log and its programs print. Shown as it is, an escape sequence
could rewrite what the operator's terminal shows, or type for them. Owns: how such text is bounded
and escaped. Leaves out: what is asked and where it is printed. Short
because everything that prints a pod's words needs it and nothing else.
"""

from __future__ import annotations

import re

# Colours are common in logs and harmless; shown escaped they would drown the text.
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_LINE = 400


def printable(text: str) -> str:
    """Return a line without colours, and with everything else a terminal might obey spelled out."""
    text = _COLOUR.sub("", text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in text)


def one_line(text: str, most: int = _LINE) -> str:
    """Return `text` as part of a message: one line, safe to print, at most `most` characters."""
    # The cut comes first too: a pod may answer with megabytes.
    plain = _COLOUR.sub("", text[: 8 * most])
    line = printable(" ".join(plain.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
