"""Says no when somebody builds a wheel or an archive: the project runs from its checkout.

Short because the build backend runs it, without this project's environment.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def refuse(version: str) -> None:
    """Stop every build but the editable install, which `uv sync` makes."""
    if version != "editable":
        raise SystemExit(
            "opencode-fleet is no package: a stack needs the scenes, the image and the program"
            " beside it: clone the repository and run `make setup` in it"
        )


class CustomBuildHook(BuildHookInterface[Any]):
    """What the build backend asks before it writes anything."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Refuse, or change nothing."""
        del build_data
        refuse(version)
