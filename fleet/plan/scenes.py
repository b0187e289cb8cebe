"""Scenes as pools hold and runtimes mount them.

Short because both the environment's plan and a runtime's build on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.names import content_name
from fleet.plan.people import titled
from fleet.stackfile.reading import Environment


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneConfigMap:
    """Files of a scene that one ConfigMap holds, named by their content."""

    name: str
    files: tuple[tuple[str, str], ...]
    executable: frozenset[str]
    """Paths of the files that can be run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenePlan:
    """A scene as a pool mounts it: immutable ConfigMaps, or a folder on the shared claim."""

    id: str
    title: str
    description: str
    config_maps: tuple[SceneConfigMap, ...] = ()
    nas_path: str | None = None
    version: int = 1
    """Of a folder, whose changes nobody sees: another one restarts its users."""


def scene_plan(environment: Environment, scene_id: str) -> ScenePlan:
    """Return a scene as pools hold it."""
    scene = environment.config.scenes[scene_id]
    content = environment.scenes[scene_id] if scene.nas_path is None else None
    title, description = titled(scene_id, scene, content)
    if content is None:
        return ScenePlan(
            id=scene_id,
            title=title,
            description=description,
            nas_path=scene.nas_path,
            version=scene.version,
        )
    executable = frozenset(content.executable)
    return ScenePlan(
        id=scene_id,
        title=title,
        description=description,
        config_maps=tuple(
            SceneConfigMap(
                name=content_name("scene", scene_id, content.digest_of(part)),
                files=part,
                executable=executable,
            )
            for part in content.parts
        ),
    )
