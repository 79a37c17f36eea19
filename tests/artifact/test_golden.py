"""Golden answers against models computed by hand, and that they tell models apart."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.artifact.evaluation import golden
from compiler.artifact.evaluation.golden import beginning, derive, openings, tolerance_of
from compiler.artifact.evaluation.request import Request
from tests.artifact import tiny, tiny_encoder
from tests.artifact.tiny import WORDS, Weights
from tests.artifact.tiny_encoder import LABELS, write_classifier, write_encoder, write_labelled

TEXTS = tiny.some_texts(30, 60)


def answers(task: str, folder: Path, data: Path) -> dict[str, Any]:
    found = derive(task, folder, Request(folder, (folder,), data, 10**6, 1))
    assert found is not None
    return found


def log_probabilities(logits: Any) -> Any:
    return logits - np.log(np.exp(logits).sum())


def test_a_generator_s_answers_are_those_computed_by_hand(tmp_path: Path) -> None:
    """The tiny model's context is 24: prompts have at most 12 tokens, continuations too."""
    weights = Weights.random()
    found = answers("text-generation", tiny.write(tmp_path / "m"), tiny.write_texts(tmp_path / "t.jsonl", TEXTS))
    assert (found["task"], found["tolerance"], len(found["answers"])) == ("text-generation", 0.05, 4)
    for answer in found["answers"]:
        assert any(text.startswith(answer["input"] + " ") for text in TEXTS)
        ids = [WORDS.index(word) for word in answer["input"].split()]
        assert 6 <= len(ids) <= 12
        first = log_probabilities(weights.logits(ids)[-1])
        assert answer["candidates"] == np.argsort(-first)[:5].tolist()
        assert answer["values"] == pytest.approx(np.sort(first)[::-1][:5], abs=0.006)
        for token in answer["tokens"]:
            row = log_probabilities(weights.logits(ids)[-1])
            best, second = np.sort(row)[::-1][:2]
            assert token == row.argmax()
            assert best - second > 0.05
            ids.append(token)
        assert answer["output"] == " ".join(WORDS[token] for token in answer["tokens"])
    assert max(len(answer["tokens"]) for answer in found["answers"]) == 12


def test_another_model_gives_other_answers(tmp_path: Path) -> None:
    data = tiny.write_texts(tmp_path / "t.jsonl", TEXTS)
    one, other = (
        answers("text-generation", tiny.write(tmp_path / str(seed), Weights.random(seed)), data) for seed in (7, 8)
    )
    weights = Weights.random(8)
    differences = []
    for answer in one["answers"]:
        row = log_probabilities(weights.logits([WORDS.index(word) for word in answer["input"].split()])[-1])
        differences.append(np.abs(row[answer["candidates"]] - answer["values"]).max())
    assert min(differences) > one["tolerance"]
    assert one != other


def test_what_is_nearly_a_tie_is_no_answer(tmp_path: Path) -> None:
    random = Weights.random()
    flat = Weights(random.embeddings, random.cache_in, random.cache_out * 0, random.output * 0)
    folder = tiny.write(tmp_path / "m", flat)
    found = answers("text-generation", folder, tiny.write_texts(tmp_path / "t.jsonl", TEXTS))
    for answer in found["answers"]:
        assert (answer["output"], answer["tokens"]) == ("", [])
        assert answer["candidates"] == [0, 1, 2, 3, 4]
        assert answer["values"] == [round(-math.log(32), 2)] * 5


def test_a_continuation_ends_with_its_text(tmp_path: Path) -> None:
    data = tiny.write_texts(tmp_path / "t.jsonl", TEXTS)
    endless = answers("text-generation", tiny.write(tmp_path / "m"), data)
    longest = max(endless["answers"], key=lambda answer: len(set(answer["tokens"])))
    end = longest["tokens"][-1]
    config = tiny.config()
    config["model"]["eos_token_id"] = end
    (tmp_path / "m" / "genai_config.json").write_text(json.dumps(config))
    found = answers("text-generation", tmp_path / "m", data)
    assert all(end not in answer["tokens"] for answer in found["answers"])


def test_an_encoder_s_answers_are_those_computed_by_hand(tmp_path: Path) -> None:
    weights = tiny_encoder.Weights.random()
    found = answers("embeddings", write_encoder(tmp_path / "m"), tiny.write_texts(tmp_path / "t.jsonl", TEXTS))
    inputs = [answer["input"] for answer in found["answers"]]
    vectors = [weights.embedding(text) for text in inputs]
    assert (found["task"], found["tolerance"], len(inputs)) == ("embeddings", 0.005, 4)
    assert all(120 < len(text) <= 200 for text in inputs)
    for answer, vector in zip(found["answers"], vectors, strict=True):
        assert answer["values"] == pytest.approx(vector[:8], abs=6e-5)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert found["cosines"] == pytest.approx([vectors[i] @ vectors[j] for i, j in pairs], abs=6e-5)


@pytest.mark.parametrize(
    ("name", "ways", "tolerance"), [("model.tflite", 2, 0.02), ("model.xml", 2, 0.02), ("model.pte", 1, 0.005)]
)
def test_another_runtime_is_asked_in_another_way_where_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ways: int, tolerance: float
) -> None:
    """Vectors that are 0.008 off then. ExecuTorch's kernels are in the file: it has no others."""
    asked = []

    def call(root: Path, converter: str, task: str, request: dict[str, Any], *more: Any) -> list[list[float]]:
        asked.append(request["plain"])
        turned = [1.0, 0.0] if not request["plain"] else [math.sqrt(1 - 0.008**2), 0.008]
        return [turned for _ in request["ids"]]

    monkeypatch.setattr("compiler.artifact.converters.vectors.call", call)
    folder = write_encoder(tmp_path / "m")
    (folder / "model.onnx").rename(folder / name)
    found = answers("embeddings", folder, tiny.write_texts(tmp_path / "t.jsonl", TEXTS))
    assert asked == [False, True][:ways]
    assert found["tolerance"] == tolerance
    assert [answer["values"] for answer in found["answers"]] == [[1.0, 0.0]] * 4


def test_a_classifier_s_answers_are_those_computed_by_hand(tmp_path: Path) -> None:
    weights = tiny_encoder.Weights.random()
    data = write_labelled(tmp_path / "t.jsonl", [(text, 0) for text in TEXTS])
    found = answers("text-classification", write_classifier(tmp_path / "m"), data)
    assert (found["task"], found["tolerance"], len(found["answers"])) == ("text-classification", 0.05, 4)
    for answer in found["answers"]:
        row = log_probabilities(weights.scores(answer["input"]))
        assert answer["candidates"] == np.argsort(-row).tolist()
        assert answer["values"] == pytest.approx(np.sort(row)[::-1], abs=0.006)
        best, second = np.sort(row)[::-1][:2]
        assert answer["output"] == (LABELS[row.argmax()] if best - second > 0.05 else "")


def test_inputs_are_spread_over_all_texts() -> None:
    for count in range(60):
        kept = [int(text) for text in openings(str(number) for number in range(count))]
        assert len(kept) == count if count <= golden.TRIED else golden.TRIED / 2 <= len(kept) <= golden.TRIED
        gaps = {later - earlier for earlier, later in pairwise(kept)}
        assert len(gaps) <= 1
        if kept:
            assert kept[0] == 0
            assert count - kept[-1] <= max(gaps, default=1)
    assert openings(["", " \n", "a"]) == ["a"]


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("  a text ", 120, "a text"),
        ("one two three", 7, "one two"),
        ("one two three", 6, "one"),
        ("one\ntwo", 5, "one"),
        ("undivided", 4, "undi"),
    ],
)
def test_a_beginning_ends_at_a_blank(text: str, most: int, expected: str) -> None:
    assert beginning(text, most) == expected


@pytest.mark.parametrize(
    ("differences", "expected"),
    [([0.0], 0.05), ([0.01, 0.024], 0.05), ([0.026], 0.1), ([0.1], 0.2), ([0.11], 0.5), ([0.39], 1.0), ([1.1], 5.0)],
)
def test_a_tolerance_is_twice_the_largest_difference_rounded_up(differences: list[float], expected: float) -> None:
    assert tolerance_of(differences, 0.05) == expected


def test_a_difference_that_is_no_number_has_no_tolerance() -> None:
    with pytest.raises(ValueError, match="not finite"):
        tolerance_of([0.1, float("nan"), 0.2], 0.05)
