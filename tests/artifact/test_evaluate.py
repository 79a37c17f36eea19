"""Quality figures against an independent computation in numpy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from compiler.artifact.evaluation import greedy
from compiler.artifact.evaluation.evaluate import evaluate
from compiler.artifact.evaluation.request import Request
from tests.artifact import tiny
from tests.artifact.tiny import WORDS, Weights


def by_hand(original: Weights, candidate: Weights, texts: list[str], most: int = 10**6) -> dict[str, float]:
    """The definitions, one position after the other: windows of the context, the first token not predicted."""
    losses: dict[str, float] = {"original": 0.0, "candidate": 0.0}
    divergences: list[float] = []
    agreed, tokens = 0, 0
    for text in texts:
        ids = [WORDS.index(word) for word in text.split()][:most]
        most -= len(ids)
        for start in range(0, len(ids), tiny.CONTEXT):
            window = ids[start : start + tiny.CONTEXT]
            p, q = (softmax(weights.logits(window)) for weights in (original, candidate))
            for position, token in enumerate(window[1:]):
                tokens += 1
                losses["original"] -= math.log(p[position][token])
                losses["candidate"] -= math.log(q[position][token])
                divergences.append(sum(a * math.log(a / b) for a, b in zip(p[position], q[position], strict=True)))
                agreed += int(p[position].argmax() == q[position].argmax())
    return {
        "tokens": tokens,
        "original": math.exp(losses["original"] / tokens),
        "perplexity": math.exp(losses["candidate"] / tokens),
        "perplexityRatio": math.exp((losses["candidate"] - losses["original"]) / tokens),
        "klDivergence": sum(divergences) / tokens,
        "klDivergenceP99": sorted(divergences)[math.ceil(0.99 * tokens) - 1],
        "topOneAgreement": agreed / tokens,
    }


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def nudged(weights: Weights, by: float) -> Weights:
    noise = np.random.default_rng(1).standard_normal(weights.output.shape).astype(np.float32)
    return Weights(weights.embeddings, weights.cache_in, weights.cache_out, weights.output + np.float32(by) * noise)


def measure(folder: Path, others: list[Path], data: Path, most: int = 10**6) -> dict[str, Any]:
    return dict(evaluate("text-generation", Request(folder, tuple(others), data, most, 1)))


def flat(result: dict[str, Any], number: int = 0) -> dict[str, float]:
    """The values alone, without their intervals."""
    figures = {name: figure[0] for name, figure in result["candidates"][number]["figures"].items()}
    return {"tokens": result["samples"]["tokens"], "original": result["reference"]["perplexity"][0], **figures}


def test_figures_are_those_of_an_independent_computation(tmp_path: Path) -> None:
    original, texts = Weights.random(), tiny.some_texts()
    near, far = nudged(original, 0.05), nudged(original, 0.5)
    folders = [tiny.write(tmp_path / name, w) for name, w in (("o", original), ("near", near), ("far", far))]
    result = measure(folders[0], folders[1:], tiny.write_texts(tmp_path / "t.jsonl", texts))
    # 6 texts of 40 words: a window of 24 and one of 16 each, the first token of neither predicted.
    assert result["samples"] == {"tokens": 6 * (23 + 15)}
    assert flat(result, 0) == pytest.approx(by_hand(original, near, texts), rel=1e-4)
    assert flat(result, 1) == pytest.approx(by_hand(original, far, texts), rel=1e-4)
    assert flat(result, 0)["klDivergence"] < flat(result, 1)["klDivergence"]


def test_the_model_itself_loses_nothing(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "o")
    result = measure(folder, [folder], tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts()))
    figures = result["candidates"][0]["figures"]
    assert figures["perplexity"] == result["reference"]["perplexity"]
    assert figures["perplexityRatio"] == [1.0, 1.0, 1.0]
    assert figures["klDivergence"] == [0.0, 0.0, 0.0]
    assert figures["klDivergenceP99"][0] == 0.0
    assert figures["topOneAgreement"][0] == figures["topOneAgreement"][2] == 1.0
    assert 0.97 < figures["topOneAgreement"][1] < 1  # no exception in 228 positions proves little


def test_intervals_shrink_as_the_sample_grows(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "o")
    other = tiny.write(tmp_path / "c", nudged(Weights.random(), 0.2))
    few, many = (
        measure(folder, [other], tiny.write_texts(tmp_path / f"{count}.jsonl", tiny.some_texts(count)))
        for count in (12, 300)
    )
    for name in ("perplexityRatio", "klDivergence", "topOneAgreement"):
        wide, narrow = (result["candidates"][0]["figures"][name] for result in (few, many))
        assert wide[1] < wide[0] < wide[2]
        assert narrow[1] < narrow[0] < narrow[2]
        assert 3 < (wide[2] - wide[1]) / (narrow[2] - narrow[1]) < 9  # √25 = 5


def test_intervals_are_the_same_every_time(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "o")
    other = tiny.write(tmp_path / "c", nudged(Weights.random(), 0.2))
    data = tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts())
    assert measure(folder, [other], data) == measure(folder, [other], data)


def test_pieces_that_share_a_cache_give_the_figures_of_whole_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny.write(tmp_path / "o")
    other = tiny.write(tmp_path / "c", nudged(Weights.random(), 0.2))
    data = tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts())
    whole = measure(folder, [other], data)
    monkeypatch.setattr(greedy, "_PIECE_BYTES", 1)
    assert greedy.piece_length(folder) == 16
    assert flat(measure(folder, [other], data)) == pytest.approx(flat(whole), rel=1e-6)


def test_reads_no_more_tokens_than_asked(tmp_path: Path) -> None:
    original, texts = Weights.random(), tiny.some_texts()
    folder = tiny.write(tmp_path / "o", original)
    result = measure(folder, [folder], tiny.write_texts(tmp_path / "t.jsonl", texts), 50)
    assert flat(result) == pytest.approx(by_hand(original, original, texts, 50), rel=1e-5)
    assert result["samples"] == {"tokens": 23 + 15 + 9}


def test_texts_of_one_token_predict_nothing(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "o")
    assert measure(folder, [folder], tiny.write_texts(tmp_path / "t.jsonl", ["w1", "w2", ""])) == {"samples": {}}


def test_a_candidate_that_fails_does_not_spoil_the_others(tmp_path: Path) -> None:
    original = Weights.random()
    broken = Weights(original.embeddings, original.cache_in, original.cache_out, original.output * np.float32(np.nan))
    folder = tiny.write(tmp_path / "o", original)
    no_numbers = tiny.write(tmp_path / "nan", broken)
    no_model = tiny.write(tmp_path / "garbage")
    (no_model / "model.onnx").write_bytes(b"garbage")
    result = measure(folder, [no_numbers, no_model, folder], tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts()))
    first, second, third = result["candidates"]
    assert first == {"failed": "its logits are not finite numbers"}
    assert set(second) == {"failed"}
    assert third["figures"]["topOneAgreement"][0] == 1.0


def test_an_original_without_numbers_is_an_error(tmp_path: Path) -> None:
    original = Weights.random()
    broken = Weights(original.embeddings, original.cache_in, original.cache_out, original.output * np.float32(np.inf))
    folder = tiny.write(tmp_path / "o", broken)
    with pytest.raises(ValueError, match=r"not finite numbers.*: weights of `W` are NaN or infinite$"):
        measure(folder, [folder], tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts()))


def test_log_probabilities_of_large_logits_stay_finite() -> None:
    found = greedy.log_probabilities(np.array([[1e4, 0.0, -1e4]], np.float32))
    assert found == pytest.approx(np.array([[0.0, -1e4, -2e4]]))


def test_a_candidate_over_another_vocabulary_cannot_be_compared(tmp_path: Path) -> None:
    original = Weights.random()
    smaller = Weights(original.embeddings, original.cache_in, original.cache_out[:, :8], original.output[:, :8])
    folders = [tiny.write(tmp_path / "o", original), tiny.write(tmp_path / "c", smaller)]
    result = measure(folders[0], folders[1:], tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts()))
    assert result["candidates"] == [
        {"failed": "it gives logits for 8 tokens, and what it is compared with for 32"},
    ]


def test_a_candidate_without_logits_fails_with_that_reason(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "original")
    part = tiny.write(tmp_path / "part")
    model = onnx.load(part / "model.onnx")
    del model.graph.output[0]
    onnx.save(model, part / "model.onnx")
    data = tiny.write_texts(tmp_path / "data.jsonl", tiny.some_texts())
    found = evaluate("text-generation", Request(folder, (part,), data, 10**6, 1))
    assert found["candidates"] == [{"failed": "ValueError: it has no output `logits`, which text generation needs"}]
