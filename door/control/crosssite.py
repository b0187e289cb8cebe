"""Which requests with a cookie come from the host's own pages, and which a foreign page made.

Short because it is the one rule everything else relies on, kept where it can be read alone. A host
next to this one is foreign: a user can serve pages there.
"""

from __future__ import annotations

from door.control.asking import Asked

_OWN = {"same-origin", "none"}


def from_own_page(asked: Asked, origin: str) -> bool:
    """Return whether a browser's request may use its cookie: its own page or a person made it.

    `origin` is that of the host asked for. A browser that sends no `Sec-Fetch-Site` (an old one, or
    plain http) is judged by `Origin`, which every browser sends with what changes something.
    """
    if asked.upgrade:
        return asked.one("origin") == origin
    site = asked.one("sec-fetch-site")
    if site in _OWN:
        return True
    if "sec-fetch-site" in asked.headers:
        return asked.opens_page
    if "origin" in asked.headers:
        return asked.one("origin") == origin
    return asked.reads
