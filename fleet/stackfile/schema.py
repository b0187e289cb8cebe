"""JSON Schema of a whole stack file, so that editors check and explain it while it is written.

Generated from the models; `schema/stack.schema.json` is this text, committed. Leaves out: rules
that span keys, which only `fleet validate` knows.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from fleet.names import PROJECT
from fleet.stackfile.config import StackConfig

_PULUMI_KEYS = {
    "encryptionsalt": "Salt of the passphrase that seals this file's secrets; written by tools.",
    "encryptedkey": "Key that seals this file's secrets, itself sealed by the secrets provider.",
    "secretsprovider": "Who seals this file's secrets when it is not a passphrase.",
}


def schema_text() -> str:
    """Return the schema as JSON text; the same text for the same models."""
    return json.dumps(stack_schema(), indent=2, ensure_ascii=False) + "\n"


def stack_schema() -> dict[str, Any]:
    """Return the JSON Schema of `Pulumi.<environment>.yaml`."""
    models = _described(StackConfig.model_json_schema())
    sections = cast("dict[str, Any]", models["properties"])
    required = cast("list[str]", models["required"])
    others = "|".join(re.escape(name) for name in sections)
    config = {
        "type": "object",
        "description": "Keys of this project; keys of others (pulumi:, kubernetes:) may follow.",
        "properties": {f"{PROJECT}:{name}": section for name, section in sections.items()},
        # Every other key of ours is a secret; other projects' keys are theirs to check.
        "patternProperties": {f"^{PROJECT}:(?!(?:{others})$)": {"$ref": "#/$defs/Sealed"}},
        "required": [f"{PROJECT}:{name}" for name in required],
    }
    tools = {name: {"type": "string", "description": text} for name, text in _PULUMI_KEYS.items()}
    sealed = {
        "type": "object",
        "description": "A secret, sealed by `fleet secret` or `pulumi config set --secret`.",
        "properties": {"secure": {"type": "string", "description": "The sealed value."}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{PROJECT} stack file",
        "description": "One environment: its cluster, its image, its users.",
        "type": "object",
        "properties": {"config": config, **tools},
        "required": ["config"],
        "$defs": {**models["$defs"], "Sealed": sealed},
    }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a model's schema without noise, each property with a description.

    Pydantic leaves out a property's description when the model it refers to has the same.
    """
    definitions = cast("dict[str, Any]", schema["$defs"])
    for owner in (schema, *definitions.values()):
        for part in cast("dict[str, Any]", owner.get("properties", {})).values():
            target = definitions.get(str(part.get("$ref", "")).removeprefix("#/$defs/"), {})
            text = target.get("description") or (owner["description"] if "const" in part else None)
            if text:
                part.setdefault("description", text)
    return cast("dict[str, Any]", _without_noise(schema))


def _without_noise(value: Any, *, names: bool = False) -> Any:
    """Return a schema without generated titles and null defaults; `names` are kept as they are."""
    if isinstance(value, list):
        return [_without_noise(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    part = cast("dict[str, Any]", value)
    if "patternProperties" in part and not names:
        # Else a schema lets keys pass that do not match the pattern.
        part = {"additionalProperties": False, **part}
    return {
        key: _without_noise(item, names=key in ("properties", "$defs"))
        for key, item in part.items()
        if names or not (key == "title" or (key == "default" and item is None))
    }
