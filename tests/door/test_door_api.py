"""The API: every call its document names, its errors, and chats made by a scene's name."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from starlette.responses import JSONResponse

from door.control.bounded import MIB
from door.control.openapi import document
from door.control.world import Phase, Wanted
from tests.support.door_desk import SERVICE_TOKEN, Desk

JSON = {"Accept": "application/json"}


def token(desk: Desk, user: str = "alice") -> str:
    """Return a personal token of a user."""
    return desk.context.tokens.personal(desk.world.roster[user], desk.context.now())


def error(answer: Any) -> tuple[int, str]:
    """Return status and code of an answer that has the one shape of errors."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["message"]
    return answer.status_code, body["error"]["code"]


def conforms(desk: Desk, body: Any, shape: str) -> None:
    """Check a body against its shape in the document."""
    schemas = document(desk.settings.front)["components"]
    schema = {"$ref": f"#/components/schemas/{shape}", "components": schemas}
    validator: Any = jsonschema.Draft202012Validator(schema)
    assert [str(one) for one in validator.iter_errors(body)] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "shape"),
    [
        ("GET", "/api/v1/me", None, 200, "Person"),
        ("GET", "/api/v1/scenes", None, 200, "Scenes"),
        ("GET", "/api/v1/users", None, 200, "People"),
        ("POST", "/api/v1/sessions", {"scene": "coding"}, 201, "SessionShape"),
        ("POST", "/api/v1/runtime/restart", None, 202, "RuntimeShape"),
        ("POST", "/api/v1/runtime/suspend", None, 202, "RuntimeShape"),
        ("POST", "/api/v1/runtime/resume", None, 202, "RuntimeShape"),
    ],
)
def test_every_call_answers_as_the_document_says(
    method: str, path: str, body: Any, status: int, shape: str
) -> None:
    desk = Desk()
    promised = document(desk.settings.front)["paths"][path][method.lower()]["responses"]
    answer = desk.program(token(desk)).request(method, path, json=body)
    assert answer.status_code == status
    assert str(status) in promised
    conforms(desk, answer.json(), shape)


def test_the_document_names_no_call_that_is_not_tested() -> None:
    paths = document("http://fleet.localhost")["paths"]
    marks = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert marks == {
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/scenes"),
        ("GET", "/api/v1/users"),
        ("POST", "/api/v1/sessions"),
        ("POST", "/api/v1/runtime/restart"),
        ("POST", "/api/v1/runtime/suspend"),
        ("POST", "/api/v1/runtime/resume"),
    }


def test_every_shape_that_the_document_names_is_in_it() -> None:
    text = json.dumps(document("http://fleet.localhost"))
    schemas = json.loads(text)["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas.keys()
    assert "Problem" in named


def test_the_document_and_its_page_are_served() -> None:
    desk = Desk()
    program = desk.program(token(desk))
    assert program.get("/api/v1/openapi.json").json()["openapi"] == "3.1.0"
    page = desk.client("alice").get("/api/v1/")
    assert page.status_code == 200
    for path in document(desk.settings.front)["paths"]:
        assert path in page.text


def test_who_shows_nothing_gets_nothing_but_the_reason() -> None:
    program = Desk().program()
    for path in ("/api/v1/me", "/api/v1/users", "/api/v1/openapi.json"):
        assert error(program.get(path)) == (401, "signed-out")
    assert error(program.post("/api/v1/sessions", json={"scene": "coding"})) == (401, "signed-out")


def test_a_wrong_token_is_told_apart_from_none() -> None:
    assert error(Desk().program("fleet_forged").get("/api/v1/me")) == (401, "wrong-credential")


def test_basic_with_id_and_password_works() -> None:
    desk = Desk()
    answer = desk.program().get("/api/v1/me", auth=("alice", desk.password("alice")))
    assert answer.json()["displayName"] == "Alice"


def test_a_personal_token_works_in_the_place_of_the_password() -> None:
    desk = Desk()
    own = desk.program().get("/api/v1/me", auth=("alice", token(desk)))
    assert own.json()["id"] == "alice"
    other = desk.program().get("/api/v1/me", auth=("alice", token(desk, "bob")))
    assert error(other) == (401, "wrong-credential")


def test_a_session_works_from_a_page_of_the_front() -> None:
    desk = Desk()
    answer = desk.client("alice", **JSON).post("/api/v1/sessions", json={"scene": "coding"})
    assert answer.status_code == 201


def test_a_service_acts_for_the_user_it_names() -> None:
    desk = Desk()
    service = desk.program(SERVICE_TOKEN, **{"X-User-Id": "bob"})
    assert service.get("/api/v1/me").json()["id"] == "bob"
    assert error(service.get("/api/v1/users")) == (403, "not-admin")
    stranger = desk.program(SERVICE_TOKEN, **{"X-User-Id": "carol"})
    assert stranger.get("/api/v1/me").status_code == 404
    assert desk.program(SERVICE_TOKEN).get("/api/v1/me").status_code == 404


def test_a_new_chat_has_an_id_a_folder_and_a_link() -> None:
    desk = Desk()
    made = desk.program(token(desk)).post("/api/v1/sessions", json={"scene": "research"}).json()
    assert made == {
        "id": "ses_0001",
        "scene": "research",
        "directory": "/app/research",
        "url": "http://alice.fleet.localhost:7080",
        "link": "http://alice.fleet.localhost:7080/L2FwcC9yZXNlYXJjaA/session/ses_0001",
    }
    assert desk.world.touched == ["alice"]


def test_a_new_chat_wakes_the_workspace_first() -> None:
    desk = Desk()
    desk.world.set("alice", phase=Phase.ASLEEP)
    answer = desk.program(token(desk)).post("/api/v1/sessions", json={"scene": "coding"})
    assert answer.status_code == 201
    assert ("wake", "alice") in desk.world.asked


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"scene": "finance"}', 422, "unknown-scene"),
        (b'{"scene": 7}', 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b"", 422, "invalid"),
        (b"[[[[", 422, "invalid"),
        (b'{"scene": "coding", "directory": "/etc"}', 422, "invalid"),
        (b'{"scene": "' + b"x" * 70_000 + b'"}', 413, "too-large"),
    ],
)
def test_a_body_that_is_not_right_says_what_to_change(body: bytes, status: int, code: str) -> None:
    desk = Desk()
    answer = desk.program(token(desk)).post("/api/v1/sessions", content=body)
    assert error(answer) == (status, code)
    assert desk.opencode.asked == []


def test_an_unknown_scene_names_those_there_are() -> None:
    desk = Desk()
    answer = desk.program(token(desk)).post("/api/v1/sessions", json={"scene": "finance"})
    assert answer.json()["error"]["message"].endswith("use one of: coding, research")


def test_a_workspace_that_does_not_wake_says_why_and_when_to_ask_again() -> None:
    desk = Desk()
    desk.world.set("alice", phase=Phase.ASLEEP)
    desk.world.refusal = "0/1 nodes are available:\n1 Insufficient memory."
    answer = desk.program(token(desk)).post("/api/v1/sessions", json={"scene": "coding"})
    assert error(answer) == (503, "not-waking")
    assert answer.headers["retry-after"] == "10"
    message = answer.json()["error"]["message"]
    assert message == "0/1 nodes are available: 1 Insufficient memory."


def test_a_workspace_that_does_not_answer_is_told_as_such() -> None:
    desk = Desk()
    desk.opencode.instead = JSONResponse({}, 500)
    answer = desk.program(token(desk)).post("/api/v1/sessions", json={"scene": "coding"})
    assert error(answer) == (502, "unreachable")


def test_a_suspended_workspace_is_told_as_such() -> None:
    desk = Desk()
    desk.world.set("alice", wanted=Wanted.SUSPENDED, phase=Phase.SUSPENDED)
    program = desk.program(token(desk))
    for path in ("sessions", "runtime/restart", "runtime/resume"):
        answer = program.post(f"/api/v1/{path}", json={"scene": "coding"})
        assert error(answer) == (409, "suspended")
    assert desk.world.asked == []


def test_administrators_act_for_others_and_others_do_not() -> None:
    desk = Desk()
    admin, user = desk.program(token(desk)), desk.program(token(desk, "bob"))
    assert admin.post("/api/v1/runtime/suspend?user=bob").json()["phase"] == "asleep"
    assert error(user.post("/api/v1/runtime/suspend?user=alice")) == (403, "not-admin")
    assert error(admin.post("/api/v1/runtime/restart?user=zoe")) == (404, "unknown-user")
    assert user.post("/api/v1/runtime/restart?user=bob").status_code == 202
    assert desk.world.asked == [("sleep", "bob"), ("restart", "bob")]


def test_a_call_that_does_not_exist_is_told_as_json() -> None:
    desk = Desk()
    program = desk.program(token(desk))
    assert error(program.get("/api/v1/nothing")) == (404, "not-found")
    assert error(program.post("/api/v1/runtime/purge")) == (404, "not-found")
    assert error(program.delete("/api/v1/me")) == (404, "not-found")


# OpenCode's own call on a user's host.


def test_a_field_scene_becomes_the_folder_of_the_scene_and_goes() -> None:
    desk = Desk()
    answer = desk.carried().post("/session", json={"scene": "research", "title": "Sources"})
    assert answer.status_code == 200
    assert answer.json()["title"] == "Sources"
    asked = [("POST", {"directory": "/app/research"}, b'{"title": "Sources"}')]
    assert desk.opencode.asked == asked


def test_a_scene_decides_the_folder_whatever_else_is_said() -> None:
    desk = Desk()
    client = desk.carried(**{"x-opencode-directory": "/etc"})
    client.post("/session?directory=/etc&workspace=w", json={"scene": "coding"})
    _, query, _ = desk.opencode.asked[0]
    assert query == {"directory": "/app/coding", "workspace": "w"}
    assert "x-opencode-directory" not in desk.opencode.headers[0]


@pytest.mark.parametrize("scene", ["finance", "../etc", 7, None, ["coding"]])
def test_a_scene_that_is_none_of_the_users_is_refused(scene: Any) -> None:
    desk = Desk()
    assert error(desk.carried().post("/session", json={"scene": scene})) == (422, "unknown-scene")
    assert desk.opencode.asked == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"title": "as it is"}'])
def test_a_request_without_a_scene_goes_on_as_it_came(body: bytes) -> None:
    desk = Desk()
    client = desk.carried(**{"x-opencode-directory": "/app/own"})
    answer = client.post("/session?directory=/app/x", content=body)
    assert answer.status_code == 200
    assert desk.opencode.asked == [("POST", {"directory": "/app/x"}, body)]
    assert desk.opencode.headers[0]["x-opencode-directory"] == "/app/own"


def test_a_body_that_is_no_json_is_opencodes_to_judge() -> None:
    desk = Desk()
    desk.opencode.instead = JSONResponse({"name": "BadRequest"}, 400)
    assert desk.carried().post("/session", content=b"[1,").status_code == 400
    assert desk.opencode.asked == [("POST", {}, b"[1,")]


def test_a_session_is_not_made_from_megabytes() -> None:
    desk = Desk()
    answer = desk.carried().post("/session", content=b" " * (MIB + 1))
    assert error(answer) == (413, "too-large")
    assert desk.opencode.asked == []


def test_no_cookie_and_no_credential_of_the_door_reaches_the_runtime() -> None:
    desk = Desk()
    client = desk.carried(Cookie="__Host-fleet=x", Authorization="Bearer fleet_x")
    client.post("/session", json={"scene": "coding"})
    sent = desk.opencode.headers[0]
    assert "cookie" not in sent
    assert sent["authorization"] == desk.opencode.expected
    assert [name for name in sent if name.startswith("x-door")] == []


def test_without_a_grant_nothing_is_carried() -> None:
    desk = Desk()
    client = desk.carried(**{"X-Door-Grant": "forged.grant"})
    assert client.post("/session", json={"scene": "coding"}).status_code == 401
    assert desk.opencode.asked == []
