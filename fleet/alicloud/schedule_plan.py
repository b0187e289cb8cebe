"""The function that starts and stops the machine by the clock: code, triggers, rights.

Leaves out: declaring it (`components.alicloud.schedule`) and the code itself (`function.power`).
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from importlib.resources import files

from fleet.alicloud.config_vm import Schedule

# The function's own folder is checked for this Python (`function/ruff.toml`, `tool.pyright`).
RUNTIME, HANDLER = "python3.10", "power.handler"
ACTIONS = ("ecs:StartInstance", "ecs:StopInstance")


def code() -> str:
    """Return the function's code as a zip file in base64; equal code gives equal text."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("power.py", date_time=(1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, (files("fleet.alicloud.function") / "power.py").read_bytes())
    return base64.b64encode(raw.getvalue()).decode()


def triggers(schedule: Schedule) -> dict[str, str]:
    """Return the timer of each payload: Function Compute's cron has seconds in front."""
    return {
        what: json.dumps(
            {
                "cronExpression": f"CRON_TZ={schedule.time_zone} 0 {cron}",
                "enable": True,
                "payload": what,
            },
            sort_keys=True,
        )
        for what, cron in (("start", schedule.start), ("stop", schedule.stop))
    }
