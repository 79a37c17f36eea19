"""Task accuracy on a model whose continuations and likelihoods are computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.artifact.evaluation.evaluate import evaluate
from compiler.artifact.evaluation.prompts import normal
from compiler.artifact.evaluation.request import Request
from tests.artifact import tiny
from tests.artifact.tiny import WORDS, Weights

MODEL = Weights.random()


def continued(prompt: str, count: int) -> list[str]:
    ids = [WORDS.index(word) for word in prompt.split()]
    for _ in range(count):
        ids.append(int(MODEL.logits(ids)[-1].argmax()))
    return [WORDS[id] for id in ids[-count:]]


def mean_log_likelihood(prompt: str, choice: str) -> float:
    before, after = ([WORDS.index(word) for word in text.split()] for text in (prompt, choice))
    logits = MODEL.logits(before + after)[len(before) - 1 : -1]
    shifted = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(np.mean([row[id] for row, id in zip(shifted, after, strict=True)]))


def write(path: Path, *lines: dict[str, Any]) -> Path:
    texts = [{"text": text} for text in tiny.some_texts()]
    path.write_text("".join(json.dumps(line) + "\n" for line in (*texts, *lines)))
    return path


def accuracy(tmp_path: Path, *lines: dict[str, Any], most: int = 10**6) -> tuple[Any, Any, dict[str, int]]:
    folder = tiny.write(tmp_path / "m", MODEL)
    data = write(tmp_path / "t.jsonl", *lines)
    found = evaluate("text-generation", Request(folder, (folder,), data, most, 1))
    candidate = found["candidates"][0]["figures"]
    return found["reference"].get("taskAccuracy"), candidate.get("taskAccuracy"), found["samples"]


def test_the_likeliest_choice_by_its_mean_counts(tmp_path: Path) -> None:
    lines, right = [], 0
    draw = np.random.default_rng(5).integers
    for number in range(40):
        prompt = " ".join(WORDS[id] for id in draw(0, 32, 5))
        choices = [" " + " ".join(WORDS[id] for id in draw(0, 32, length)) for length in (1, 3, 2)]
        means = [mean_log_likelihood(prompt, choice) for choice in choices]
        answer = int(np.argmax(means)) if number % 4 else int(np.argmin(means))
        right += answer == int(np.argmax(means))
        lines.append({"prompt": prompt, "choices": choices, "answer": answer})
    assert right == 30
    reference, candidate, samples = accuracy(tmp_path, *lines)
    assert reference == candidate
    assert reference == pytest.approx([0.75, 0.5981, 0.8581], abs=1e-4)  # Wilson's of 30 in 40
    assert samples == {"tokens": 6 * (23 + 15), "prompts": 40}


def test_a_long_choice_is_not_worse_for_its_length(tmp_path: Path) -> None:
    """By sums of log-likelihoods instead of means, the short choice would win."""
    prompt = "w1 w2 w3"
    short = WORDS[int(np.argsort(MODEL.logits([1, 2, 3])[-1])[-2])]
    draw = np.random.default_rng(8).integers
    longer = (" ".join(WORDS[id] for id in draw(0, 32, 3)) for _ in range(10_000))
    least = mean_log_likelihood(prompt, short)
    long = next(text for text in longer if 3 * (mean := mean_log_likelihood(prompt, text)) < least < mean)
    found, _, _ = accuracy(tmp_path, {"prompt": prompt, "choices": [f" {long}", f" {short}"], "answer": 0})
    assert found[0] == 1.0


def test_a_continuation_is_compared_up_to_its_end(tmp_path: Path) -> None:
    prompts = [f"w{one} w{other}" for one in range(32) for other in range(32)]
    prompt = next(prompt for prompt in prompts if len(set(continued(prompt, 4))) == 4)
    *said, end = continued(prompt, 4)
    line = {"prompt": prompt, "answer": " ".join(said).upper() + "."}
    found, _, samples = accuracy(tmp_path, line)
    assert (found[0], samples["prompts"]) == (0.0, 1)  # without a token that ends texts, it says more
    config = tiny.config()
    config["model"]["eos_token_id"] = [31, WORDS.index(end)]
    folder = tiny.write(tmp_path / "ending", MODEL)
    (folder / "genai_config.json").write_text(json.dumps(config))
    data = write(tmp_path / "e.jsonl", line, {"prompt": prompt, "answer": said[0]})
    ended = evaluate("text-generation", Request(folder, (), data, 10**6, 1))
    assert ended["reference"]["taskAccuracy"][0] == 0.5


def test_prompts_beyond_the_tokens_to_read_are_not_asked(tmp_path: Path) -> None:
    line = {"prompt": "w1 w2 w3", "choices": [" w1", " w2"], "answer": 0}  # 5 tokens
    _, _, samples = accuracy(tmp_path, *[line] * 30, most=52)
    assert samples["prompts"] == 10


def test_a_prompt_longer_than_the_context_is_cut_at_its_start(tmp_path: Path) -> None:
    prompt = " ".join(tiny.some_texts(1, 60))
    kept = " ".join(prompt.split()[-(tiny.CONTEXT - 1) :])
    choices = [f" {word}" for word in WORDS]
    best = int(np.argmax([mean_log_likelihood(kept, choice) for choice in choices]))
    found, _, _ = accuracy(tmp_path, {"prompt": prompt, "choices": choices, "answer": best})
    assert found[0] == 1.0


def test_without_prompts_there_is_no_such_figure(tmp_path: Path) -> None:
    assert accuracy(tmp_path) == (None, None, {"tokens": 6 * (23 + 15)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Paris.\u00a0", "paris"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("“New  York”", "new york"),
        ("ﬁve", "five"),
        ("3.14", "3.14"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_what_counts_as_the_same_answer(text: str, expected: str) -> None:
    assert normal(text) == expected
