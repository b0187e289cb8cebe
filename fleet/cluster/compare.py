"""What would change between two stack files, without a cluster."""

from __future__ import annotations

from dataclasses import replace

from fleet.cluster.changes import Changes, find_changes
from fleet.cluster.desired import desired_objects, resolve_image
from fleet.cluster.live import key_of
from fleet.plan.environment import Plan, make_plan
from fleet.stackfile.reading import Environment


def changes_against_file(
    environment: Environment, plan: Plan, image: str, before: Environment
) -> Changes:
    """Return what applying `environment` does where `before` is deployed as written.

    `before` is taken for an earlier file of the same environment, whatever its name.
    """
    before = replace(before, name=environment.name)
    old = make_plan(before)
    reference = resolve_image(before.config, before.folder)
    live = {
        key_of(item.manifest): item.manifest for item in desired_objects(before, old, reference, {})
    }
    return find_changes(plan, desired_objects(environment, plan, image, live), live)
