"""The `providers:` and `models:` keys: who answers prompts, and who may ask whom.

Owns: the kinds that the pinned OpenCode holds without a network, models with what they can do, the
choice of a profile or a user. Leaves out: keys (sealed), the configuration text (`plan.opencode`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from fleet.values.model import Model, broken
from fleet.values.scalars import BaseUrl, Line, SecretKey

_MODEL_MAX = 200


class ProviderKind(StrEnum):
    """How a provider is spoken to: the packages that OpenCode 1.18.33 holds in its own program."""

    ALIBABA = "alibaba"
    ANTHROPIC = "anthropic"
    AZURE = "azure"
    BEDROCK = "bedrock"
    CEREBRAS = "cerebras"
    COHERE = "cohere"
    DEEPINFRA = "deepinfra"
    GATEWAY = "gateway"
    GOOGLE = "google"
    GROQ = "groq"
    MISTRAL = "mistral"
    OPENAI = "openai"
    OPENAI_COMPATIBLE = "openai-compatible"
    OPENROUTER = "openrouter"
    PERPLEXITY = "perplexity"
    TOGETHERAI = "togetherai"
    VENICE = "venice"
    VERCEL = "vercel"
    VERTEX = "vertex"
    VERTEX_ANTHROPIC = "vertex-anthropic"
    XAI = "xai"


class Modality(StrEnum):
    """What a model takes as input."""

    TEXT = "text"
    IMAGE = "image"
    PDF = "pdf"
    AUDIO = "audio"
    VIDEO = "video"


def _model_id(value: str) -> str:
    if not value.strip() or not value.isprintable() or value != value.strip():
        raise broken("a model's id is one line of printable characters", "write it as its API does")
    if len(value) > _MODEL_MAX:
        raise broken(
            f"a model's id has at most {_MODEL_MAX} characters", "write it as its API does"
        )
    if "{env:" in value or "{file:" in value:
        raise broken(
            "OpenCode would replace {env:…} and {file:…} in it", "write it as its API does"
        )
    return value


def _model_name(value: str) -> str:
    provider, slash, model = value.partition("/")
    if not slash or not provider:
        raise broken("a model is named with its provider", "write it like openai/gpt-5")
    _model_id(model)
    return value


ProviderId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
ModelId = Annotated[
    str, AfterValidator(_model_id), WithJsonSchema({"type": "string", "maxLength": _MODEL_MAX})
]
ModelName = Annotated[
    str,
    AfterValidator(_model_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z][a-z0-9-]*/.+$"}),
]
ModelPattern = Annotated[
    str, Field(max_length=260), WithJsonSchema({"type": "string", "pattern": "^[a-z][a-z0-9-]*"})
]


class ModelSpec(Model):
    """One model of a provider."""

    name: Line | None = None
    """What people read in the picker; unset is the model's id."""
    context_tokens: Annotated[int, Field(ge=1024, le=10_000_000, strict=True)] = 200_000
    """Longest input of the model."""
    output_tokens: Annotated[int, Field(ge=256, le=1_000_000, strict=True)] = 32_000
    """Longest answer of the model."""
    input: Annotated[tuple[Modality, ...], Field(max_length=5)] | None = None
    """What it takes; unset is what OpenCode knows of the model, else text."""
    reasoning: bool | None = None
    """Whether it thinks before it answers; unset is what OpenCode knows of it."""


class Provider(Model):
    """An API that answers prompts, with its models."""

    kind: ProviderKind
    """How it is spoken to; `openai-compatible` for gateways such as LiteLLM and vLLM."""
    name: Line | None = None
    """What people read in the picker; unset is the provider's id."""
    base_url: BaseUrl | None = None
    """Address of the API, its version included; unset is the vendor's own."""
    api_key: SecretKey | None = None
    """Top-level secret key that holds the API key; unset for an endpoint that asks for none."""
    options: Annotated[dict[str, str | int | float | bool], Field(max_length=20)] = Field(
        default_factory=dict[str, str | int | float | bool]
    )
    """More options of its kind: `region` (bedrock), `resourceName` (azure), `project` (vertex)."""
    headers: Annotated[dict[str, str], Field(max_length=20)] = Field(default_factory=dict[str, str])
    """HTTP headers that every request carries; `{env:NAME}` stands for a variable."""
    models: Annotated[dict[ModelId, ModelSpec], Field(min_length=1, max_length=200)]
    """Models by the id that the API knows them by; the picker shows these and no other."""


class Models(Model):
    """Which models workspaces start with."""

    default: ModelName
    """What a chat starts with, e.g. openai/gpt-5."""
    small: ModelName | None = None
    """Cheaper one for titles and summaries; unset uses the default."""


class ModelChoice(Model):
    """Which models a profile or a user has, where that differs from everybody's."""

    default: ModelName | None = None
    """What a chat starts with."""
    small: ModelName | None = None
    """Cheaper one for titles and summaries."""
    allowed: Annotated[tuple[ModelPattern, ...], Field(min_length=1, max_length=200)] | None = None
    """Providers (openai) and models (openai/gpt-5) to choose from; unset is all."""
