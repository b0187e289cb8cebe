"""Which requests are somebody at work, and which a page or a program sends by itself.

Tried with OpenCode 1.18.33's page left open in Chromium: it asks `/api/health` every ten seconds
for ever, beside its event stream. Each time the stream was cut (a new door, a network that was
away, a laptop that woke up) it opens it again and asks once more for all that it showed at first
(`/global/config`, `/provider`, `/path`, `/project`, `/config`, `/session/status`, `/vcs`,
`/command`, `/permission`, `/question`, `/mcp` and so on); an open terminal gets a new ticket and
tells its size. `opencode attach` left open only opens its event stream again. None of this is
somebody who works, and none of it may wake a runtime: a tab left open would keep it awake for ever.
What is not known here counts as use, so that a new version of
OpenCode keeps a runtime awake too long rather than putting it to sleep under somebody's hands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_READS = frozenset({"GET", "HEAD"})
# Reads that a page or the terminal program repeats by itself.
_BY_ITSELF = re.compile(
    r"/(?:"
    r"global/(?:health|config|event)"
    r"|api/(?:health|event|location|reference|agent|command|skill|model|provider|integration"
    r"|session|session/active|pty|permission/request|question/request)"
    r"|event|config|config/providers|provider|provider/auth|path|project|project/current|vcs"
    r"|vcs/status|agent|skill|command|lsp|formatter|mcp|permission|question|pty|pty/shells|session"
    r"|session/status|experimental/(?:resource|session|capabilities|console|workspace"
    r"|workspace/status|tool/ids)"
    r"|pty/[^/]+/connect|api/pty/[^/]+/connect"
    r"|assets/.*|[^/]*\.(?:svg|png|ico|webmanifest|js|css|txt)"
    r")/?"
)
# Writes of the same sort: the page's own log, a ticket for a terminal that is opened again, its
# size.
_WRITES_BY_ITSELF = re.compile(r"/log|(?:/api)?/pty/[^/]+(?:/connect-token)?")
_DELETE = "DELETE"


def counts_as_use(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Return whether a request is somebody at work.

    `path` may carry its query. `headers` has lower-case names, or finds names in any case. Only
    what counts keeps a runtime awake, and only that may wake it. A page that is opened counts; what
    a browser fetches before anybody asked for it does not. Bytes typed into a terminal are the
    relay's to report.
    """
    if "prefetch" in headers.get("sec-purpose", "") or method == "OPTIONS":
        return False
    bare = path.partition("?")[0]
    if method not in _READS:
        return method == _DELETE or not _WRITES_BY_ITSELF.fullmatch(bare)
    if headers.get("upgrade"):
        return False
    if headers.get("sec-fetch-mode") == "navigate":
        return headers.get("sec-fetch-dest", "document") == "document"
    return not _BY_ITSELF.fullmatch(bare)
