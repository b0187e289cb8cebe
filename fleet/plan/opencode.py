"""OpenCode's managed configuration: what holds in every workspace whatever a user writes.

It is mounted at /etc/opencode, which beats every other source of configuration. It is no security
boundary (a user's agent-level permission outranks it, and the shell sees all): the pod is.
"""

from __future__ import annotations

import json

from fleet.stackfile.config import ModelEndpoint

API_KEY_VARIABLE = "FLEET_MODEL_API_KEY"


def managed_config(model: ModelEndpoint | None) -> str:
    """Return the text of /etc/opencode/opencode.json."""
    config: dict[str, object] = {
        "$schema": "https://opencode.ai/config.json",
        "share": "disabled",
        "autoupdate": False,
        # Programs that use the API cannot answer OpenCode's questions, and would wait for ever.
        # What these permissions guard, the pod already confines.
        "permission": {"external_directory": "allow", "doom_loop": "deny", "read": "allow"},
    }
    if model is not None:
        limit = {"context": model.context_tokens, "output": model.output_tokens}
        names = dict.fromkeys([model.name, model.small_name or model.name])
        config |= {
            # Without it OpenCode also offers its vendor's own hosted models, and code leaves.
            "enabled_providers": [model.provider],
            "model": f"{model.provider}/{model.name}",
            "small_model": f"{model.provider}/{model.small_name or model.name}",
            "provider": {
                model.provider: {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": model.provider,
                    "options": {
                        "baseURL": model.base_url,
                        "apiKey": f"{{env:{API_KEY_VARIABLE}}}",
                    },
                    "models": {name: {"name": name, "limit": limit} for name in names},
                }
            },
        }
    return json.dumps(config, indent=2) + "\n"
