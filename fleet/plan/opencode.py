"""OpenCode's managed configuration: what holds in every workspace whatever a user writes.

It is mounted at /etc/opencode, which beats every other source of configuration. It is no security
boundary (a user's agent-level permission outranks it, and the shell sees all): the pod is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from fleet.stackfile.config import StackConfig, User
from fleet.stackfile.providers import Modality, ModelSpec, Provider, ProviderKind

PACKAGES: Mapping[ProviderKind, str] = {
    ProviderKind.ALIBABA: "@ai-sdk/alibaba",
    ProviderKind.ANTHROPIC: "@ai-sdk/anthropic",
    ProviderKind.AZURE: "@ai-sdk/azure",
    ProviderKind.BEDROCK: "@ai-sdk/amazon-bedrock",
    ProviderKind.CEREBRAS: "@ai-sdk/cerebras",
    ProviderKind.COHERE: "@ai-sdk/cohere",
    ProviderKind.DEEPINFRA: "@ai-sdk/deepinfra",
    ProviderKind.GATEWAY: "@ai-sdk/gateway",
    ProviderKind.GOOGLE: "@ai-sdk/google",
    ProviderKind.GROQ: "@ai-sdk/groq",
    ProviderKind.MISTRAL: "@ai-sdk/mistral",
    ProviderKind.OPENAI: "@ai-sdk/openai",
    ProviderKind.OPENAI_COMPATIBLE: "@ai-sdk/openai-compatible",
    ProviderKind.OPENROUTER: "@openrouter/ai-sdk-provider",
    ProviderKind.PERPLEXITY: "@ai-sdk/perplexity",
    ProviderKind.TOGETHERAI: "@ai-sdk/togetherai",
    ProviderKind.VENICE: "venice-ai-sdk-provider",
    ProviderKind.VERCEL: "@ai-sdk/vercel",
    ProviderKind.VERTEX: "@ai-sdk/google-vertex",
    ProviderKind.VERTEX_ANTHROPIC: "@ai-sdk/google-vertex/anthropic",
    ProviderKind.XAI: "@ai-sdk/xai",
}
"""The package of each kind; all of them stand in OpenCode 1.18.33's own program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which models a user has: what is left when everybody's, the profile's and theirs are read."""

    default: str | None
    small: str | None
    models: tuple[tuple[str, tuple[str, ...]], ...]
    """Provider ids, each with the ids of its models that this user may choose."""
    keyed: frozenset[str]
    """Providers that are asked with a key."""


def choice_of(config: StackConfig, user: User) -> Choice:
    """Return which models a user has."""
    profile = config.profile(user.profile)
    wanted = [user.models, *([profile.models] if profile else [])]
    allowed = next((item.allowed for item in wanted if item.allowed is not None), None)
    models = tuple(
        (name, chosen)
        for name, provider in config.providers.items()
        if (chosen := tuple(model for model in provider.models if is_allowed(allowed, name, model)))
    )
    default = next((item.default for item in wanted if item.default), None)
    small = next((item.small for item in wanted if item.small), None)
    if config.models is not None:
        default, small = default or config.models.default, small or config.models.small
    keyed = {name for name, provider in config.providers.items() if provider.api_key}
    return Choice(
        default=default,
        small=small,
        models=models,
        keyed=frozenset(keyed | set(user.api_keys)),
    )


def is_allowed(allowed: tuple[str, ...] | None, provider: str, model: str) -> bool:
    """Return whether a model is among those that a list of providers and models allows."""
    return allowed is None or provider in allowed or f"{provider}/{model}" in allowed


def key_variable(provider: str) -> str:
    """Return the environment variable that holds the API key for a provider."""
    return f"FLEET_KEY_{provider.upper().replace('-', '_')}"


def managed_config(config: StackConfig, choice: Choice) -> str:
    """Return the text of /etc/opencode/opencode.json."""
    names = [name for name, _ in choice.models]
    fixed: dict[str, object] = {
        "$schema": "https://opencode.ai/config.json",
        "share": "disabled",
        "autoupdate": False,
        # Programs that use the API cannot answer OpenCode's questions, and would wait for ever.
        # What these permissions guard, the pod already confines.
        "permission": {"external_directory": "allow", "doom_loop": "deny", "read": "allow"},
        # Without it OpenCode also offers its vendor's own hosted models, and code leaves.
        "enabled_providers": names,
    }
    if choice.default is not None:
        fixed["model"] = choice.default
        fixed["small_model"] = choice.small or choice.default
    if names:
        fixed["provider"] = {
            name: _provider(name, config.providers[name], models, keyed=name in choice.keyed)
            for name, models in choice.models
        }
    return json.dumps(_merged(config.managed_config, fixed), indent=2, ensure_ascii=False) + "\n"


def _provider(
    name: str, provider: Provider, models: tuple[str, ...], *, keyed: bool
) -> dict[str, object]:
    options: dict[str, object] = dict(provider.options)
    if provider.base_url is not None:
        options["baseURL"] = provider.base_url
    if keyed:
        options["apiKey"] = f"{{env:{key_variable(name)}}}"
    if provider.headers:
        options["headers"] = provider.headers
    return {
        "npm": PACKAGES[provider.kind],
        "name": provider.name or name,
        "options": options,
        # OpenCode adds every model that it knows of a provider of this name.
        "whitelist": list(models),
        "models": {model: _model(model, provider.models[model]) for model in models},
    }


def _model(model: str, spec: ModelSpec) -> dict[str, object]:
    told: dict[str, object] = {
        "name": spec.name or model,
        "limit": {"context": spec.context_tokens, "output": spec.output_tokens},
    }
    if spec.input is not None:
        told["modalities"] = {"input": [item.value for item in spec.input], "output": ["text"]}
        # Without it OpenCode tells the model that it cannot read the file.
        told["attachment"] = any(item is not Modality.TEXT for item in spec.input)
    if spec.reasoning is not None:
        told["reasoning"] = spec.reasoning
    return told


def _merged(given: Mapping[str, object], fixed: Mapping[str, object]) -> dict[str, object]:
    """Return settings of a stack file with the product's own over them."""
    merged = {**fixed}
    for key, value in given.items():
        held = fixed.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            inner = cast("Mapping[str, object]", value)
            merged[key] = {**_merged(inner, cast("Mapping[str, object]", held))}
        elif key not in fixed:
            merged[key] = value
    return merged
