"""What can go wrong, each with its exit code, and how one broken rule is told.

Owns: the exit codes, the four-part problem line, what may be repeated in a message at all. Leaves
out: the rules themselves (`values`, `stackfile`) and printing (`cli.shell`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

DONE, FAILED, WRONG_INPUT, CHANGES = 0, 1, 2, 3
"""Exit codes of every command: done, failed, wrong input, something would change."""

HIDDEN = "[hidden]"
_SHOWN = 80
# Python refuses to write integers of more than 4,300 digits; nobody reads one of 40.
_LARGEST = 10**40
# Prefixes that issuers give their tokens so that they are found: OpenAI and its likes, GitHub,
# GitLab, Slack, Hugging Face, AWS, Alibaba Cloud, Google, and JSON web tokens.
_TOKEN = re.compile(
    r"(?:sk|pk|rk)-[\w-]{8}|(?:gh[opsu]|github_pat|glpat|hf)[_-]\w{8}|xox[abps]-"
    r"|(?:AKIA|ASIA|LTAI)\w{8}|AIza[\w-]{20}|eyJ[\w-]{8}|-----BEGIN|://[^/\s]*@"
)


def looks_secret(text: str) -> bool:
    """Return whether `text` has the shape of a known kind of credential, or holds one."""
    return _TOKEN.search(text) is not None


def shown(value: object) -> str:
    """Return `value` as a problem line shows it: one line, at most 80 characters, no credential.

    Of a mapping or a list only the kind is told: it can be of any depth and hold anything.
    """
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a very large number"
    # A number of a stack file is told as it was written: 0123, not 83.
    text = str(getattr(value, "written", value))
    if looks_secret(text):
        return HIDDEN
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    text = text if text and text == text.strip() else f'"{text}"'
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@dataclass(frozen=True, order=True)
class Problem:
    """One broken rule of a stack file."""

    key: str
    value: str
    rule: str
    change: str

    def __post_init__(self) -> None:
        # Here, so that no rule can forget it.
        object.__setattr__(self, "value", shown(self.value))

    def __str__(self) -> str:
        return f"{self.key}: {self.value}: {self.rule}: {self.change}"


class FleetError(Exception):
    """What a command ends with: its text is for the operator, its code for a script."""

    exit_code: ClassVar[int] = FAILED


class InputError(FleetError):
    """Wrong input; the problems say what to change."""

    exit_code = WRONG_INPUT

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class ClusterError(FleetError):
    """The cluster did not do what was asked; the text is one line for the operator."""


class EngineError(FleetError):
    """The engine is not there, was stopped, or failed; the text is one line for the operator."""


class AwayError(ClusterError):
    """The cluster does not answer, or does not answer us."""


class RefusedError(ClusterError):
    """The cluster answered no; what a caller may decide by is the code and the reason."""

    def __init__(self, text: str, *, status: int, reason: str) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status, such as 404."""
        self.reason = reason
        """The API's own word for it, such as `NotFound` or `AlreadyExists`."""
