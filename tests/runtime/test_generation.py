"""The official client against text generation: what it gets is what the compiler's own decoder computes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence

import openai
import pytest
from tokenizers import Tokenizer

from compiler.artifact.evaluation.greedy import continuation, piece_length
from compiler.artifact.inference.decoder import Decoder
from tests.runtime.bundles import PYDOC
from tests.runtime.serving import Served

PROMPT = "def main(argv):"
TOKENIZER = Tokenizer.from_file(str(PYDOC / "tokenizer.json"))
EXPECTED_TOKENS = 24


def greedy(prompt: str, most: int) -> Sequence[int]:
    """By the compiler, token for token."""
    ids = TOKENIZER.encode(prompt).ids
    return [chosen.token for chosen in continuation(Decoder(PYDOC, 1), ids, most, piece_length(PYDOC))]


@pytest.fixture(scope="module")
def expected() -> str:
    return str(TOKENIZER.decode(greedy(PROMPT, EXPECTED_TOKENS)))


def test_a_chat_without_a_template_is_its_messages_one_after_the_other(generating: Served, expected: str) -> None:
    first, second = PROMPT[:4], PROMPT[4:]
    lines = f"{first}\n{second}"
    answer = generating.client.chat.completions.create(
        model="pydoc@1.0.0",
        messages=[
            {"role": "system", "content": first},
            {"role": "user", "content": [{"type": "text", "text": second}]},
        ],
        max_completion_tokens=EXPECTED_TOKENS,
        temperature=0,
    )
    [choice] = answer.choices
    assert choice.message.content == TOKENIZER.decode(greedy(lines, EXPECTED_TOKENS))
    assert (choice.message.role, choice.finish_reason, choice.index) == ("assistant", "length", 0)
    assert answer.usage is not None
    prompt = len(TOKENIZER.encode(lines).ids)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (prompt, EXPECTED_TOKENS)
    assert answer.usage.total_tokens == prompt + EXPECTED_TOKENS
    assert (answer.model, answer.object) == ("pydoc@1.0.0", "chat.completion")


def test_a_streamed_chat_says_the_same_in_pieces(generating: Served, expected: str) -> None:
    chunks = list(
        generating.client.chat.completions.create(
            model="pydoc",
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=EXPECTED_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *pieces, last, count = chunks
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].delta.role for chunk in pieces] == ["assistant"] + [None] * (len(pieces) - 1)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == expected
    assert [chunk.choices[0].finish_reason for chunk in pieces] == [None] * len(pieces)
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("length", None)
    assert (count.choices, count.usage and count.usage.completion_tokens) == ([], EXPECTED_TOKENS)


def test_a_completion_whole_and_streamed(generating: Served, expected: str) -> None:
    asked = {"model": "counter", "prompt": PROMPT, "max_tokens": EXPECTED_TOKENS}
    whole = generating.client.completions.create(**asked)
    chunks = list(generating.client.completions.create(**asked, stream=True))
    assert whole.choices[0].text == expected
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected
    assert (whole.object, chunks[-1].choices[0].finish_reason) == ("text_completion", "length")


def test_a_prompt_of_tokens_is_taken_as_it_is(generating: Served, expected: str) -> None:
    answer = generating.client.completions.create(
        model="pydoc", prompt=TOKENIZER.encode(PROMPT).ids, max_tokens=EXPECTED_TOKENS
    )
    assert answer.choices[0].text == expected


@pytest.mark.parametrize("length", [1, 3, 9])
def test_a_text_ends_before_its_stop_string(generating: Served, expected: str, length: int) -> None:
    """However long it is: tokens do not end where a stop string begins."""
    stop = expected[10 : 10 + length]
    text = generating.client.completions.create(
        model="pydoc", prompt=PROMPT, max_tokens=EXPECTED_TOKENS, stop=["\0never", stop]
    )
    chunks = list(
        generating.client.completions.create(
            model="pydoc", prompt=PROMPT, max_tokens=EXPECTED_TOKENS, stop=stop, stream=True
        )
    )
    assert text.choices[0].text == expected[: expected.index(stop)]
    assert text.choices[0].finish_reason == "stop"
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected[: expected.index(stop)]


def test_no_more_tokens_than_the_run_allows(generating: Served) -> None:
    answer = generating.client.completions.create(model="pydoc", prompt=PROMPT, max_tokens=5000)
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (64, "length")


def test_no_more_tokens_than_the_context_has(generating: Served) -> None:
    ids = [5] * 500
    answer = generating.client.completions.create(model="pydoc", prompt=ids)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (500, 12)


def test_what_is_drawn_with_a_seed_is_drawn_again(generating: Served) -> None:
    def drawn(seed: int) -> str:
        answer = generating.client.completions.create(
            model="pydoc", prompt=PROMPT, max_tokens=32, temperature=1.5, top_p=0.95, seed=seed
        )
        return answer.choices[0].text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("asked", [{"temperature": 0}, {"top_p": 0}, {"top_p": 1e-320, "temperature": 1.5}])
def test_what_leaves_one_token_to_draw_is_greedy(generating: Served, asked: dict[str, float]) -> None:
    """onnxruntime-genai would take a top_p of 0 for none, and draw from all tokens."""

    def said(**options: float) -> set[str]:
        ask = generating.client.completions.create
        answers = [ask(model="pydoc", prompt=PROMPT, max_tokens=24, seed=seed, **options) for seed in (1, 2)]
        return {answer.choices[0].text for answer in answers}

    assert said(**asked) == said()
    assert len(said(temperature=1.5)) == 2


def test_the_models_of_the_server(generating: Served) -> None:
    client = generating.client
    assert [model.id for model in client.models.list()] == ["pydoc@1.0.0"]
    assert client.models.retrieve("pydoc@1.0.0").id == "pydoc@1.0.0"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_errors_are_those_of_the_client(generating: Served) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        generating.client.completions.create(model="pydoc", prompt=[5] * 512)
    assert (found.value.code, found.value.param, found.value.type) == (
        "context_length_exceeded",
        "prompt",
        "invalid_request_error",
    )
    assert found.value.body == {
        "message": "This model's maximum context length is 512 tokens, and the request has 512.",
        "type": "invalid_request_error",
        "param": "prompt",
        "code": "context_length_exceeded",
    }
    with pytest.raises(openai.NotFoundError, match=r"this server has `pydoc@1\.0\.0`"):
        generating.client.completions.create(model="gpt-4", prompt=PROMPT)


def test_an_error_of_a_streamed_request_has_its_status(generating: Served) -> None:
    status, body = generating.post("/v1/completions", {"model": "pydoc", "prompt": [5] * 600, "stream": True})
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")


def test_events_end_as_openai_s_do(generating: Served) -> None:

    body = json.dumps({"model": "pydoc", "prompt": PROMPT, "stream": True, "max_tokens": 3}).encode()
    status, text = generating.ask(
        urllib.request.Request(f"http://127.0.0.1:{generating.port}/v1/completions", body, method="POST")
    )
    assert status == 200
    assert text.endswith("}\n\ndata: [DONE]\n\n")
    assert all(line.startswith("data: ") for line in text.split("\n\n") if line)
