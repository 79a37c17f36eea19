"""Embeddings and classification: the numbers of a BERT that is computed by hand."""

from __future__ import annotations

import numpy as np
import openai
import pytest

from tests.artifact import tiny_bert
from tests.runtime.encoders import LABELS, TEXTS, tokens, weights
from tests.runtime.serving import Served


def vector(text: str) -> list[float]:
    """The mean of the tokens' vectors, of length 1."""
    mean = tiny_bert.hidden(weights("embeddings"), tokens(text)).mean(axis=0)
    found: list[float] = (mean / np.linalg.norm(mean)).tolist()
    return found


def probabilities(text: str) -> list[float]:
    logits = tiny_bert.logits(weights("text-classification"), tokens(text))
    shares = np.exp(logits - logits.max())
    found: list[float] = (shares / shares.sum()).tolist()
    return found


def test_the_official_client_gets_the_vectors(embedding: Served) -> None:
    """It asks for base64, and makes lists of it."""
    answer = embedding.client.embeddings.create(model="tiny@2.0.0", input=list(TEXTS))
    assert [entry.index for entry in answer.data] == [0, 1, 2, 3]
    for entry, text in zip(answer.data, TEXTS, strict=True):
        assert entry.embedding == pytest.approx(vector(text), abs=1e-5)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens, answer.model) == (15, 15, "tiny@2.0.0")


@pytest.mark.parametrize("given", [TEXTS[0], tokens(TEXTS[0]), [tokens(TEXTS[0])]], ids=["text", "tokens", "list"])
def test_vectors_as_numbers(embedding: Served, given: object) -> None:
    status, answer = embedding.post("/v1/embeddings", {"model": "tiny", "input": given})
    assert status == 200
    assert answer["data"][0]["embedding"] == pytest.approx(vector(TEXTS[0]), abs=1e-5)
    assert {key: answer["data"][0][key] for key in ("object", "index")} == {"object": "embedding", "index": 0}
    assert answer["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


def test_a_text_that_is_too_long(embedding: Served) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        embedding.client.embeddings.create(model="tiny", input=["w1", " ".join(["w1"] * 13)])
    assert (found.value.code, found.value.param) == ("context_length_exceeded", "input")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": []}, "invalid_value", "input"),
        ({"input": ""}, "empty_input", "input"),
        ({"input": ["w1", 3]}, "invalid_value", "input"),
        ({"input": [[]]}, "invalid_value", "input"),
        ({"input": [999]}, "invalid_token", "input"),
        ({"input": ["w1"] * 2049}, "invalid_value", "input"),
        ({"input": "w1", "dimensions": 4}, "unsupported_parameter", "dimensions"),
        ({"input": "w1", "encoding_format": "hex"}, "invalid_value", "encoding_format"),
    ],
)
def test_bad_inputs(embedding: Served, body: dict[str, object], code: str, param: str) -> None:
    status, answer = embedding.post("/v1/embeddings", {"model": "tiny", **body})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param)


@pytest.mark.parametrize("path", ["/v1/classify", "/classify"])
def test_classification_in_vllm_s_shape(classifying: Served, path: str) -> None:
    status, answer = classifying.post(path, {"model": "tiny", "input": list(TEXTS)})
    assert status == 200
    for number, (entry, text) in enumerate(zip(answer["data"], TEXTS, strict=True)):
        expected = probabilities(text)
        assert entry["probs"] == pytest.approx(expected, abs=1e-5)
        assert entry["label"] == LABELS[int(np.argmax(expected))]
        assert (entry["index"], entry["num_classes"]) == (number, 3)
    assert answer["object"] == "list"
    assert answer["usage"] == {"prompt_tokens": 15, "completion_tokens": 0, "total_tokens": 15}


def test_only_the_endpoints_of_the_task_are_there(embedding: Served, classifying: Served, generating: Served) -> None:
    assert embedding.post("/v1/chat/completions", {})[0] == 404
    assert classifying.post("/v1/embeddings", {})[0] == 404
    assert generating.post("/v1/classify", {})[1]["error"]["code"] == "not_found"
