"""Why a pod restarts: two pod templates compared, told in the stack file's words.

A template becomes topics, each with its value; what differs is told by its topic. Every part of a
template belongs to some topic, so that no restart goes without a reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from fleet.engine.events import Inputs, part, parts
from fleet.errors import shown
from fleet.values.quantity import parse_quantity

ORDER = "order of its scenes and settings"
"""The topic of a template that says the same in another order."""

Topics = dict[str, object]
"""What a template says, by topic."""

_SCENE_MOUNT = re.compile(r"/app/(?P<scene>[^/]+)/(?:AGENTS\.md|\.opencode)")
_SCENE_VOLUME = "scene-"
_SCENES_VARIABLE = "FLEET_SCENES"
_KEY_VARIABLE = "FLEET_KEY_"
_MARKS = (("password-", "password"), ("api-key-", "API key"), ("secrets-", "secret"))
_SECRET_KEYS = {"password": "password", "apiKey": "API key"}
_SCENE_MARK = "scene-version-"
_TOLD_ELSEWHERE = frozenset({"name", "image", "env", "resources", "volumeMounts"})
# Both sides of these fit a line; of the others only that they changed is worth telling.
_TOLD_WITH_VALUES = re.compile(r"image|(?:cpu|memory|ephemeral-storage) (?:request|limit)")


def topics_of(template: Inputs) -> Topics:
    """Return everything a pod template says, by topic."""
    topics: Topics = {}
    for topic, value in _topics(template):
        # Two places that say one topic, such as a scene's volume and its mounts, count as one.
        topics[topic] = (topics[topic], value) if topic in topics else value
    return topics


def changed_topics(old: Topics, new: Topics) -> list[str]:
    """Return the topics that differ, in the order of the new template."""
    changed = [
        topic
        for topic in dict.fromkeys((*new, *old))
        if topic not in old or topic not in new or not _equal(topic, old[topic], new[topic])
    ]
    # What comes or goes moves the rest: only alone is the order the reason.
    return [topic for topic in changed if topic != ORDER] or changed


def reason(topic: str, old: Topics, new: Topics) -> str:
    """Return one difference in words."""
    if _TOLD_WITH_VALUES.fullmatch(topic) and topic in old and topic in new:
        return f"{topic} {_brief(topic, old[topic])} → {_brief(topic, new[topic])}"
    if topic.startswith(("scene ", "env ", "mount ", "volume ", "container ", "init container ")):
        return f"{topic} {_verb(topic, old, new)}"
    return topic


def _verb(topic: str, old: Topics, new: Topics) -> str:
    if topic not in old:
        return "added"
    return "changed" if topic in new else "removed"


def _equal(topic: str, one: object, other: object) -> bool:
    if one == other or not topic.endswith((" request", " limit")):
        return one == other
    try:
        # The API server compares `1` and `1000m` as numbers, and a pod does not restart for it.
        return parse_quantity(str(one)) == parse_quantity(str(other))
    except ValueError:
        return False


def _brief(topic: str, value: object) -> str:
    text = str(value)
    # Of a reference the last part says enough, and fits the line.
    return shown(text.rpartition("/")[2] if topic == "image" and "," not in text else text)


def _topics(template: Inputs) -> Iterator[tuple[str, object]]:
    metadata, spec = part(template, "metadata"), part(template, "spec")
    containers, first = parts(spec, "containers"), parts(spec, "initContainers")
    main = containers[:1]
    yield from _shared([*main, *first])
    for container in main:
        yield from _container(container)
    for volume in parts(spec, "volumes"):
        yield _volume_topic(str(volume.get("name"))), _plain(volume)
    for name, value in part(metadata, "annotations").items():
        yield _mark(name), value
    yield "labels", _plain(part(metadata, "labels"))
    for container in first:
        yield f"init container {container.get('name')}", _beside(container, main)
    for container in containers[1:]:
        yield f"container {container.get('name')}", _plain(container)
    for key, value in spec.items():
        if key not in {"containers", "initContainers", "volumes"}:
            yield _setting(key), _plain(value)
    yield ORDER, _order(spec)


def _order(spec: Inputs) -> list[str]:
    """Return names in the order of their lists: for the API server another one is a change."""
    containers = [*parts(spec, "initContainers"), *parts(spec, "containers")]
    lists = [containers, parts(spec, "volumes")]
    lists += [parts(item, key) for item in containers for key in ("env", "volumeMounts")]
    names = [str(item.get("mountPath", item.get("name"))) for items in lists for item in items]
    variables = (item for container in containers for item in parts(container, "env"))
    scenes = [str(item.get("value")) for item in variables if item.get("name") == _SCENES_VARIABLE]
    return names + scenes


def _setting(key: str) -> str:
    return {"imagePullSecrets": "pull secret"}.get(key, f"pod's {key}")


def _shared(containers: Sequence[Inputs]) -> Iterator[tuple[str, object]]:
    """Yield what all containers of a runtime have alike; where they do not, every value."""
    said: dict[str, dict[str, None]] = {}
    for container in containers:
        said.setdefault("image", {})[str(container.get("image"))] = None
        resources = part(container, "resources")
        for side, word in (("requests", "request"), ("limits", "limit")):
            for name, value in part(resources, side).items():
                said.setdefault(f"{name} {word}", {})[str(value)] = None
    for topic, values in said.items():
        yield topic, ", ".join(values)


def _container(container: Inputs) -> Iterator[tuple[str, object]]:
    for variable in parts(container, "env"):
        yield _variable(variable), _plain(variable)
    for mount in parts(container, "volumeMounts"):
        yield _mount_topic(mount), _plain(mount)
    for key, value in container.items():
        if key not in _TOLD_ELSEWHERE:
            yield f"container's {key}", _plain(value)


def _beside(container: Inputs, main: Iterable[Inputs]) -> str:
    """Return what an init container says beyond what it shares with the main container."""
    nobody: Inputs = {}
    shared = next(iter(main), nobody)
    theirs = parts(shared, "volumeMounts")
    mounts = [item for item in parts(container, "volumeMounts") if item not in theirs]
    told = _TOLD_ELSEWHERE - {"name"}
    own = {
        key: value
        for key, value in container.items()
        if key not in told and shared.get(key) != value
    }
    variables = [item for item in parts(container, "env") if item.get("name") != _SCENES_VARIABLE]
    return _plain({**own, "env": variables, "volumeMounts": mounts})


def _variable(variable: Inputs) -> str:
    name = str(variable.get("name"))
    key = part(variable, "valueFrom", "secretKeyRef").get("key")
    if name.startswith(_KEY_VARIABLE):
        return f"API key of {name.removeprefix(_KEY_VARIABLE).lower().replace('_', '-')}"
    return _SECRET_KEYS.get(str(key), f"env {name}")


def _mount_topic(mount: Inputs) -> str:
    path = str(mount.get("mountPath"))
    scene = _SCENE_MOUNT.fullmatch(path)
    if scene is not None:
        return f"scene {scene['scene']}"
    return "managed configuration" if path == "/etc/opencode" else f"mount {path}"


def _volume_topic(name: str) -> str:
    if name.startswith(_SCENE_VOLUME):
        return f"scene {name.removeprefix(_SCENE_VOLUME)}"
    return "managed configuration" if name == "managed-config" else f"volume {name}"


def _mark(annotation: str) -> str:
    name = annotation.rpartition("/")[2]
    if name.startswith(_SCENE_MARK):
        return f"scene {name.removeprefix(_SCENE_MARK)}"
    for prefix, topic in _MARKS:
        if annotation.startswith("opencode-fleet/") and name.startswith(prefix):
            return topic
    return f"annotation {annotation}"


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True)
