"""`make up` where the engine cannot be had: the same objects, handed to `kubectl apply`.

No pruning, no waiting of its own: the next `make up` with the engine takes over what is there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from fleet.names import FIELD_MANAGER, door_namespace, namespace_name
from fleet.stackfile.reading import Environment
from tools.deploy.steps import StepError, fleet, kubectl, run, tell

_MISSING = (
    "Pulumi cannot be had here (see above), so kubectl applies the rendered objects. Missing"
    " without it: preview, removing who left the roster, purge, repair of what was edited by hand."
    " The next `make up` with Pulumi takes these objects over."
)


def up(environment: Environment, stack: str, images: Sequence[str]) -> None:
    """Apply an environment's rendered objects and wait for its rollouts.

    `images` are the options of `fleet render` that choose them.
    """
    tell(_MISSING)
    run("seed", fleet("seed", "-s", stack))
    # Straight from one program to the next: the Secrets never touch a disk.
    rendered = fleet("render", "-s", stack, "-o", "-", "--with-secrets", *images)
    program = kubectl(environment)
    with subprocess.Popen(rendered, stdout=subprocess.PIPE) as source:
        manager = f"--field-manager={FIELD_MANAGER}"
        command = [*program, "apply", "--server-side", "--force-conflicts", manager, "-f", "-"]
        applied = subprocess.run(
            command, stdin=source.stdout, stdout=subprocess.DEVNULL, check=False
        )
    if source.returncode != 0:
        raise StepError("fleet render", source.returncode)
    if applied.returncode != 0:
        raise StepError("kubectl apply", applied.returncode)
    door = f"--namespace={door_namespace(environment.name)}"
    run("door", [*program, "rollout", "status", "deployment", door, "--timeout=180s"])
    for pool in sorted({user.pool for user in environment.config.users}):
        where = f"--namespace={namespace_name(environment.name, pool)}"
        run(f"pool {pool}", [*program, "rollout", "status", "deployment", where, "--timeout=180s"])
    run("workspaces", fleet("status", "-s", stack))
