"""What would change between two stack files, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fleet.cluster.changes import Changes, find_changes
from fleet.cluster.desired import desired_objects
from fleet.cluster.live import key_of
from fleet.images.tags import resolve_image
from fleet.plan.environment import Plan, make_plan
from fleet.stackfile.reading import Environment


def changes_against_file(
    secrets: Mapping[str, str],
    plan: Plan,
    image: str,
    before: Environment,
    secrets_before: Mapping[str, str],
) -> Changes:
    """Return what applying `plan` does where `before` is deployed as written.

    `before` is taken for an earlier file of the same environment, whatever its name.
    """
    before = replace(before, name=plan.environment)
    old = make_plan(before)
    reference = resolve_image(before.config, before.folder)
    live = {
        key_of(item.manifest): item.manifest
        for item in desired_objects(secrets_before, old, reference, {})
    }
    return find_changes(plan, desired_objects(secrets, plan, image, live), live)
