"""What no model should see: refused in OpenAI's shape, with the parameter's name."""

from __future__ import annotations

import json
import socket
import urllib.request
from typing import Any

import pytest

from tests.runtime.serving import Served

USER = [{"role": "user", "content": "x"}]
CHAT: list[tuple[dict[str, Any], str, str | None]] = [
    ({"messages": []}, "invalid_value", "messages"),
    ({"messages": "x"}, "invalid_value", "messages"),
    ({"messages": [3]}, "invalid_value", "messages[0].role"),
    ({"messages": [*USER, {"role": "tool", "content": "x"}]}, "invalid_value", "messages[1].role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "invalid_value", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "invalid_value", "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "invalid_value",
        "messages[0].content",
    ),
    ({"messages": USER, "max_tokens": 0}, "invalid_value", "max_tokens"),
    ({"messages": USER, "max_completion_tokens": True}, "invalid_value", "max_completion_tokens"),
    ({"messages": USER, "temperature": 2.5}, "invalid_value", "temperature"),
    ({"messages": USER, "temperature": "hot"}, "invalid_value", "temperature"),
    ({"messages": USER, "top_p": -1}, "invalid_value", "top_p"),
    ({"messages": USER, "seed": 1.5}, "invalid_value", "seed"),
    ({"messages": USER, "stop": ["a"] * 5}, "invalid_value", "stop"),
    ({"messages": USER, "stop": ""}, "invalid_value", "stop"),
    ({"messages": USER, "stream": "yes"}, "invalid_value", "stream"),
    ({"messages": USER, "stream_options": {}}, "invalid_value", "stream_options"),
    ({"messages": USER, "n": 2}, "unsupported_parameter", "n"),
    ({"messages": USER, "logprobs": True}, "unsupported_parameter", "logprobs"),
    ({"messages": USER, "tools": [{}]}, "unsupported_parameter", "tools"),
    ({"messages": USER, "response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
    ({"messages": USER, "frequency_penalty": 1}, "unsupported_parameter", "frequency_penalty"),
]


@pytest.mark.parametrize(("body", "code", "param"), CHAT)
def test_a_chat_that_cannot_be_answered(generating: Served, body: dict[str, Any], code: str, param: str | None) -> None:
    status, answer = generating.post("/v1/chat/completions", {"model": "pydoc", **body})
    error = answer["error"]
    assert (status, error["code"], error["param"], error["type"]) == (400, code, param, "invalid_request_error")


@pytest.mark.parametrize(
    ("prompt", "code"),
    [(None, "invalid_value"), (["a", "b"], "invalid_value"), ([-1], "invalid_value"), ([True], "invalid_value"),
     ([[]], "invalid_value"), ([1024], "invalid_token"), ([2**40], "invalid_value"), ({"a": 1}, "invalid_value")],
)  # fmt: skip
def test_a_prompt_that_is_none(generating: Served, prompt: object, code: str) -> None:
    status, answer = generating.post("/v1/completions", {"model": "pydoc", "prompt": prompt})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, "prompt")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b"\xff\xfe", b'{"model": "\\ud800"}', b'{"temperature": NaN}', b"[" * 60000, b"1" * 5000],
    ids=["empty", "cut", "a list", "not UTF-8", "half a character", "NaN", "deep", "a long number"],
)
def test_a_body_that_is_no_json_object(generating: Served, body: bytes) -> None:
    status, answer = generating.post("/v1/chat/completions", body)
    assert (status, answer["error"]["code"], answer["error"]["type"]) == (400, "invalid_json", "invalid_request_error")


def test_parameters_that_ask_for_nothing_are_taken(generating: Served) -> None:
    body = {
        "model": "pydoc", "messages": USER, "max_tokens": 1, "n": 1, "tools": [], "logprobs": False, "user": "u",
        "presence_penalty": 0, "response_format": {"type": "text"}, "metadata": {}, "logit_bias": None, "store": False,
    }  # fmt: skip
    assert generating.post("/v1/chat/completions", body)[0] == 200


def test_a_model_that_is_not_here(generating: Served) -> None:
    status, answer = generating.post("/v1/chat/completions", {"model": "gpt-4", "messages": USER})
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    status, answer = generating.post("/v1/chat/completions", {"messages": USER})
    assert (status, answer["error"]["param"]) == (400, "model")


def test_a_body_that_is_too_large_is_not_read(generating: Served) -> None:
    """With a length it is refused by that, without one as soon as it is too much."""
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
    chunks = b"8000\r\n" + b"x" * 0x8000 + b"\r\n8001\r\n" + b"x" * 0x8001
    for sent in (
        head + b"Content-Length: 65537\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
    ):
        with socket.create_connection(("127.0.0.1", generating.port), timeout=30) as client:
            client.sendall(sent)
            answer = b""
            while not answer.endswith(b"}") and (more := client.recv(65536)):
                answer += more
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"request_too_large"' in answer


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/completions", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there(generating: Served, method: str, path: str, status: int, code: str) -> None:

    found, text = generating.ask(
        urllib.request.Request(f"http://127.0.0.1:{generating.port}{path}", b"" if method == "POST" else None)
    )
    assert (found, json.loads(text)["error"]["code"]) == (status, code)
