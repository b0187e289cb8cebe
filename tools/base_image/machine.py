"""What the stand-in takes over from this machine: apt mirrors and privately added certificates.

A machine that reaches its registries through a mirror or an inspecting proxy needs the same inside
a build. Only public material is taken: a mirror address with credentials in it is left out.
"""

import re
from pathlib import Path

from tools.base_image.commands import run

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
DISTRIBUTED = Path("/usr/share/ca-certificates")

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def _certificates(text: str) -> list[str]:
    return [match.group(0).replace("\r", "") for match in _CERTIFICATE.finditer(text)]


def added_certificates(bundle: Path = BUNDLE, distributed: Path = DISTRIBUTED) -> tuple[str, ...]:
    """Certificates trusted here that the distribution did not bring, as PEM texts, sorted."""
    if not bundle.is_file():
        return ()
    known: set[str] = set()
    for path in distributed.rglob("*.crt"):
        known.update(_certificates(path.read_text(encoding="ascii", errors="ignore")))
    trusted = _certificates(bundle.read_text(encoding="utf-8", errors="ignore"))
    return tuple(sorted(set(trusted) - known))


def debian_sources(suite: str) -> tuple[str, ...]:
    """`URI SUITE` of each Debian archive of `suite` this machine uses; empty on another release."""
    listing = run(
        "apt sources",
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)",
            "Created-By: Packages",
        ],
    )
    return parse_sources(listing, suite)


def parse_sources(listing: str, suite: str) -> tuple[str, ...]:
    """Pick the usable lines of `apt-get indextargets`: Debian's own, this suite, no credentials."""
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    sources: set[str] = set()
    for line in listing.splitlines():
        fields = line.split("|")
        if len(fields) != 4:  # noqa: PLR2004 - the four fields of the format string
            continue
        origin, uri, codename, component = fields
        ours = origin == "Debian" and component == "main" and codename in wanted
        if ours and uri.startswith("http") and "@" not in uri:
            sources.add(f"{uri} {codename}")
    return tuple(sorted(sources))
