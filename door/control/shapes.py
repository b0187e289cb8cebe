"""What the API takes and gives, as types; the OpenAPI document is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from door.control.context import Context
from door.control.world import Phase, Runtime, Scene, Wanted


class _Shape(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class SceneShape(_Shape):
    """A prepared working context."""

    id: Annotated[str, Field(description="What `scene` is in a request.")]
    title: Annotated[str, Field(description="What people read.")]
    description: Annotated[str, Field(description="One or two sentences; may be empty.")]
    directory: Annotated[str, Field(description="Where it stands in the workspace: /app/<id>.")]


class Scenes(_Shape):
    """The user's scenes."""

    scenes: Annotated[tuple[SceneShape, ...], Field(description="In the stack file's order.")]


class RuntimeShape(_Shape):
    """What runs for a user."""

    phase: Annotated[Phase, Field(description="ready, starting, asleep, suspended or failing.")]
    wanted: Annotated[Wanted, Field(description="What the stack file says: active or suspended.")]
    reason: Annotated[str | None, Field(description="Why it is not ready, one line of text.")]
    last_used: Annotated[datetime | None, Field(description="The last use through the door.")]
    next_wake: Annotated[datetime | None, Field(description="When working hours wake it.")]


class Person(_Shape):
    """A user and their workspace."""

    id: Annotated[str, Field(description="For ever the same.")]
    display_name: Annotated[str, Field(description="What people read; it may change.")]
    admin: Annotated[bool, Field(description="May see and restart everybody's workspace.")]
    url: Annotated[str, Field(description="Origin of the workspace and of OpenCode's own API.")]
    scenes: Annotated[tuple[SceneShape, ...], Field(description="What the user may open.")]
    runtime: Annotated[RuntimeShape, Field(description="As of now.")]


class People(_Shape):
    """Everybody, ordered by id."""

    users: Annotated[tuple[Person, ...], Field(description="Nothing of anybody's content.")]


class NewSession(_Shape):
    """Asks for a chat."""

    scene: Annotated[str, Field(description="Id of one of the user's scenes.", max_length=128)]


class SessionShape(_Shape):
    """A chat that was made."""

    id: Annotated[str, Field(description="OpenCode's id of it.")]
    scene: Annotated[str, Field(description="Where it is.")]
    directory: Annotated[str, Field(description="`directory` for further calls of OpenCode.")]
    url: Annotated[str, Field(description="Origin of OpenCode's API for this user.")]
    link: Annotated[str, Field(description="The chat's page, for a browser.")]


class ErrorBody(_Shape):
    """What went wrong."""

    code: Annotated[str, Field(description="One word for programs; it does not change.")]
    message: Annotated[str, Field(description="A sentence for people; it may change.")]


class Problem(_Shape):
    """Every error of the door that is told as JSON."""

    error: Annotated[ErrorBody, Field(description="The one field.")]


SHAPES: tuple[type[BaseModel], ...] = (
    Person,
    People,
    Scenes,
    SceneShape,
    RuntimeShape,
    NewSession,
    SessionShape,
    Problem,
    ErrorBody,
)


def scene_shape(scene: Scene) -> SceneShape:
    """Return a scene as programs read it."""
    return SceneShape(
        id=scene.id,
        title=scene.title,
        description=scene.description,
        directory=scene.directory,
    )


def runtime_shape(runtime: Runtime) -> RuntimeShape:
    """Return the state of a runtime as programs read it."""
    return RuntimeShape(
        phase=runtime.phase,
        wanted=runtime.wanted,
        reason=runtime.reason,
        last_used=runtime.last_used,
        next_wake=runtime.next_wake,
    )


def person_shape(context: Context, runtime: Runtime) -> Person:
    """Return a user as programs read them."""
    return Person(
        id=runtime.id,
        display_name=runtime.display_name,
        admin=runtime.admin,
        url=context.host_of(runtime),
        scenes=tuple(map(scene_shape, runtime.scenes)),
        runtime=runtime_shape(runtime),
    )
