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
# `true` or `false`; absent is false.
ADMIN = f"{PREFIX}/admin"
# JSON: [{"id": "coding", "title": "Coding", "description": "..."}], in the order they are shown.
SCENES = f"{PREFIX}/scenes"
# `active` or `suspended`; absent is active.
STATE = f"{PREFIX}/state"
# A number; absent is 1.
PASSWORD_VERSION = f"{PREFIX}/password-version"
# Seconds; absent never sleeps.
SUSPEND_AFTER = f"{PREFIX}/suspend-after"
# JSON: {"zone": "Europe/Berlin", "days": ["mon", "tue"], "start": "09:00", "end": "18:00"}.
HOURS = f"{PREFIX}/hours"

RUNTIME_PORT = 4096
