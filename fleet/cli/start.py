"""The entry of the `fleet` command. Short because it must run before any other import.

Where Python is told to keep no compiled modules (PYTHONDONTWRITEBYTECODE, as in many containers),
each run would compile every library anew: half of a short run's time. They are kept in the user's
cache folder then, where they litter nobody's sources.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    if sys.dont_write_bytecode:
        given = os.environ.get("XDG_CACHE_HOME", "")
        cache = Path(given) if given.startswith("/") else Path.home() / ".cache"
        sys.pycache_prefix = str(cache / "opencode-fleet" / "bytecode")
        sys.dont_write_bytecode = False
    from fleet.cli.main import main as run  # noqa: PLC0415

    run()
