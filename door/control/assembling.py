"""The whole door in one place: decisions and sign-in with the pages and the API around them.

Short because it only joins what is decided elsewhere; the process and the tests start the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.types import ASGIApp

from door.control import api, front, people
from door.control.app import create_app, make_context
from door.control.chats import CARRIED, Chats, carried_routes
from door.control.context import Context, Serving
from door.control.pages.refusals import DoorPages
from door.control.settings import Settings
from door.control.world import World


def assemble(
    settings: Settings, secrets: Mapping[str, str], world: World, serving: Serving
) -> tuple[Context, ASGIApp]:
    """Return the door around a World, with all its pages; raises ValueError without a seed."""
    context = make_context(
        settings,
        secrets,
        world,
        DoorPages(settings),
        serving=replace(serving, on_workspaces=CARRIED),
    )
    chats = Chats(context)
    app = create_app(
        context,
        front=[
            *front.routes(context, chats),
            *people.routes(context),
            *api.routes(context, chats),
        ],
        workspace=front.workspace_routes(context),
        carried=carried_routes(context, chats),
    )
    return context, app
