"""The fake model server: it streams as OpenCode expects and does what the prompt says."""

import hashlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.fakes.model_server import ModelServer

TOOLS = [{"type": "function", "function": {"name": "bash"}}]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    one = ModelServer(("127.0.0.1", 0), api_key="right")
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def request(
    server: ModelServer, method: str, path: str, body: object = None, key: str = "right"
) -> tuple[int, str]:
    call = urllib.request.Request(
        f"http://127.0.0.1:{server.server_port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(call, timeout=10) as reply:  # noqa: S310
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def chat(server: ModelServer, *messages: dict[str, Any], **more: Any) -> tuple[int, str]:
    body = {"model": "m", "stream": True, "tools": TOOLS, "messages": list(messages), **more}
    return request(server, "POST", "/v1/chat/completions", body)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def chunks(stream: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def said(stream: str) -> str:
    choices = [choice for chunk in chunks(stream) for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_an_answer_is_streamed_with_its_end_and_usage(server: ModelServer) -> None:
    status, stream = chat(server, user("hello [[say a longer answer than one piece]]"))
    assert status == 200
    assert said(stream) == "a longer answer than one piece"
    assert chunks(stream)[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks(stream)[-1]["usage"]["total_tokens"] == 110


def test_tools_are_called_one_after_the_other_then_it_answers(server: ModelServer) -> None:
    prompt = user('[[tool bash {"command": "ls"}]] [[tool read {}]] [[say done]]')
    history: list[dict[str, Any]] = [prompt]
    names: list[str] = []
    for _ in range(2):
        _, stream = chat(server, *history)
        call = chunks(stream)[1]["choices"][0]["delta"]["tool_calls"][0]
        names.append(call["function"]["name"])
        assert chunks(stream)[-2]["choices"][0]["finish_reason"] == "tool_calls"
        history += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "x"}]
    assert names == ["bash", "read"]
    assert said(chat(server, *history)[1]) == "done"
    # A new prompt of the same chat starts over.
    assert said(chat(server, *history, user("[[say again]]"))[1]) == "again"


def test_a_request_without_tools_gets_a_title_whatever_the_words(server: ModelServer) -> None:
    assert said(chat(server, user("[[error 500]]"), tools=[])[1]) == "A chat"


def test_without_a_stream_the_answer_is_one_object(server: ModelServer) -> None:
    _, text = chat(server, user("hi"), stream=False)
    assert json.loads(text)["choices"][0]["message"]["content"] == "ok: hi"


def test_errors_and_pauses_come_on_request(server: ModelServer) -> None:
    before = time.monotonic()
    status, text = chat(server, user("[[slow 0.3]] [[error 429]]"))
    assert time.monotonic() - before >= 0.3
    assert status == 429
    assert "as the prompt asked" in text


def test_a_broken_stream_has_no_end(server: ModelServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    body = {"stream": True, "tools": TOOLS, "messages": [user("[[break]] some words to cut off")]}
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(body), {"Authorization": "Bearer right"}
    )
    text = connection.getresponse().read().decode()
    connection.close()
    assert text.startswith("data: ")
    assert "[DONE]" not in text
    assert "finish_reason" not in text


def test_a_wrong_key_and_a_bad_request_are_refused(server: ModelServer) -> None:
    assert request(server, "POST", "/v1/chat/completions", {}, key="wrong")[0] == 401
    assert request(server, "POST", "/v1/chat/completions", [1])[0] == 400
    assert request(server, "POST", "/v1/embeddings", {})[0] == 404
    assert request(server, "GET", "/health", key="wrong")[0] == 200


def test_requests_are_recorded_without_the_key(server: ModelServer) -> None:
    chat(server, {"role": "system", "content": "be brief"}, user("hello"))
    _, text = request(server, "GET", "/requests")
    (one,) = json.loads(text)
    assert one["system"] == "be brief"
    assert one["prompt"] == "hello"
    assert one["tools"] == ["bash"]
    assert one["bearer_sha256"] == hashlib.sha256(b"right").hexdigest()
    assert "right" not in text
    request(server, "DELETE", "/requests")
    assert json.loads(request(server, "GET", "/requests")[1]) == []
