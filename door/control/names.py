"""Labels and annotations by which the cluster tells the door who is there.

The same as `fleet.names` has them, which a test compares: the image holds nothing of `fleet`.
"""

from __future__ import annotations

PREFIX = "opencode-fleet"

LABEL_ENVIRONMENT = f"{PREFIX}/environment"
LABEL_USER = f"{PREFIX}/user"

# Annotations of a runtime's Deployment (its own metadata, not its pods': changing one restarts
# nobody).
USER_ID = f"{PREFIX}/user-id"
DISPLAY_NAME = f"{PREFIX}/display-name"
LOGIN = f"{PREFIX}/login"
ADMIN = f"{PREFIX}/admin"
SCENES = f"{PREFIX}/scenes"
STATE = f"{PREFIX}/state"
PASSWORD_VERSION = f"{PREFIX}/password-version"
SUSPEND_AFTER = f"{PREFIX}/suspend-after"
HOURS = f"{PREFIX}/hours"

RUNTIME_PORT = 4096
