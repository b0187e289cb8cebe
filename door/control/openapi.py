"""The OpenAPI document of the API, made from its shapes. A test calls everything it promises."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from door.control.shapes import SHAPES

ROOT = "/api/v1"
_ABOUT = (
    "Chats in scenes, and the state of workspaces. Programs show who they are with Basic "
    "(user id and password), a personal token (Authorization: Bearer), or a service token with "
    "the header X-User-Id naming for whom it acts. Errors are JSON with a code that does not "
    "change. OpenCode's own API is at each user's own host, with the same credentials."
)
_REFUSED: dict[int, str] = {
    401: "Nobody is shown, or a wrong credential: code signed-out or wrong-credential.",
    403: "Not allowed: code not-admin or cross-site.",
    429: "Too many wrong passwords: code slowed.",
}
_SUSPENDED = "Suspended in the stack file: code suspended."
_NOT_WAKING = "It does not wake now, Retry-After says when to ask again: code not-waking."
_NEW_SESSION: dict[int, str] = {
    409: _SUSPENDED,
    413: "The body is too large: code too-large.",
    422: "Another body is wanted: code invalid or unknown-scene.",
    502: "The workspace did not answer: code unreachable.",
    503: _NOT_WAKING,
}
_USER = {
    "name": "user",
    "in": "query",
    "required": False,
    "description": "Id of another user; for administrators.",
    "schema": {"type": "string"},
}


def document(server: str) -> dict[str, Any]:
    """Return the document for an environment at `server`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "opencode-fleet", "version": "1", "description": _ABOUT},
        "servers": [{"url": server}],
        "security": [{"basic": []}, {"token": []}, {"session": []}],
        "paths": _paths(),
        "components": {"schemas": _schemas(), "securitySchemes": _security()},
    }


def _paths() -> dict[str, Any]:
    return {
        f"{ROOT}/me": {"get": _call("me", "Who I am, and what my workspace does", "Person")},
        f"{ROOT}/scenes": {"get": _call("scenes", "The scenes I may open", "Scenes")},
        f"{ROOT}/sessions": {
            "post": {
                "requestBody": {"required": True, "content": _content("NewSession")},
                **_call(
                    "newSession",
                    "A new chat in a scene; the workspace is woken first where it is asleep",
                    "SessionShape",
                    made=201,
                    problems=_NEW_SESSION,
                ),
            }
        },
        f"{ROOT}/runtime/restart": {"post": _action("restart", "Stop the workspace, start it")},
        f"{ROOT}/runtime/suspend": {
            "post": _action("suspend", "Put the workspace to sleep; the next use wakes it")
        },
        f"{ROOT}/runtime/resume": {"post": _action("resume", "Wake the workspace")},
        f"{ROOT}/users": {"get": _call("users", "Everybody; for administrators", "People")},
    }


def _action(name: str, summary: str) -> dict[str, Any]:
    problems = {404: "Nobody has this id: code unknown-user.", 409: _SUSPENDED, 503: _NOT_WAKING}
    call = _call(name, summary, "RuntimeShape", made=202, problems=problems)
    return {**call, "parameters": [_USER]}


def _call(
    name: str,
    summary: str,
    gives: str,
    *,
    made: int = 200,
    problems: dict[int, str] | None = None,
) -> dict[str, Any]:
    answers = {str(made): {"description": "Done.", "content": _content(gives)}}
    for code, text in sorted({**_REFUSED, **(problems or {})}.items()):
        answers[str(code)] = {"description": text, "content": _content("Problem")}
    return {"operationId": name, "summary": summary, "responses": answers}


def _content(shape: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape}"}}}


def _schemas() -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(shape, "serialization") for shape in SHAPES],
        ref_template="#/components/schemas/{model}",
    )
    return schemas["$defs"]


def _security() -> dict[str, Any]:
    return {
        "basic": {"type": "http", "scheme": "basic"},
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A personal token, or a service token with X-User-Id.",
        },
        "session": {"type": "apiKey", "in": "cookie", "name": "__Host-fleet"},
    }
