"""What must not be repeated in a message: values that are, or look like, credentials.

Leaves out: sealing (`sealed`), which keys of a stack file are secrets (`stack_file`).
"""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
_KEY_ENDS = ("credential", "key", "passphrase", "password", "secret", "token")
# Prefixes that issuers give their tokens so that they are found: OpenAI and its likes, GitHub,
# GitLab, Slack, Hugging Face, AWS, Alibaba Cloud, Google, and JSON web tokens.
_TOKEN = re.compile(
    r"(?:sk|pk|rk)-[\w-]{8}|(?:gh[opsu]|github_pat|glpat|hf)[_-]\w{8}|xox[abps]-"
    r"|(?:AKIA|ASIA|LTAI)\w{8}|AIza[\w-]{20}|eyJ[\w-]{8}|-----BEGIN|://[^/\s]*@"
)
_REFERENCE = re.compile(r"[A-Za-z]{1,40}[0-9]{0,3}")


def names_secret(key: str) -> bool:
    """Return whether a key's name says that its value is a credential."""
    return key.lower().endswith(_KEY_ENDS)


def looks_secret(text: str) -> bool:
    """Return whether `text` has the shape of a known kind of credential, or holds one."""
    return _TOKEN.search(text) is not None


def secret_reference(text: str) -> str:
    """Return the name of a secret key, or `[hidden]` when it may be the secret itself."""
    return text if _REFERENCE.fullmatch(text) else HIDDEN
