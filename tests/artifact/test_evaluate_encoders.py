"""Figures of embeddings and of classification against an independent computation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.artifact.evaluation.evaluate import evaluate
from compiler.artifact.evaluation.request import Request
from tests.artifact import tiny
from tests.artifact.tiny_encoder import LABELS, Weights, write_classifier, write_encoder, write_labelled

ORIGINAL = Weights.random()


def measure(task: str, folders: list[Path], data: Path, most: int = 10**6) -> Any:
    return evaluate(task, Request(folders[0], tuple(folders[1:]), data, most, 1))


def values(figures: dict[str, list[float]]) -> dict[str, float]:
    return {name: figure[0] for name, figure in figures.items()}


def embeddings_by_hand(candidate: Weights, texts: list[str]) -> dict[str, float]:
    one, other = ([weights.embedding(text) for text in texts] for weights in (ORIGINAL, candidate))
    cosines = [float(a @ b) for a, b in zip(one, other, strict=True)]
    pairs = [(i, j) for i in range(len(texts)) for j in range(i)]
    ranks = []
    for vectors in (one, other):
        similar = [float(vectors[i] @ vectors[j]) for i, j in pairs]
        ranks.append([1 + sum(s < value for s in similar) + (similar.count(value) - 1) / 2 for value in similar])
    nearest = [
        [max((float(v[i] @ v[j]), j) for j in range(len(v)) if j != i)[1] for i in range(len(v))] for v in (one, other)
    ]
    return {
        "cosineMean": sum(cosines) / len(cosines),
        "cosineMin": min(cosines),
        "rankCorrelation": float(np.corrcoef(ranks[0], ranks[1])[0, 1]),
        "neighbourAgreement": sum(a == b for a, b in zip(*nearest, strict=True)) / len(texts),
    }


def classification_by_hand(candidate: Weights, texts: list[tuple[str, str | int]]) -> dict[str, float]:
    truth = [LABELS.index(label) if isinstance(label, str) else label for _, label in texts]
    found = [int(candidate.scores(text).argmax()) for text, _ in texts]
    expected = [int(ORIGINAL.scores(text).argmax()) for text, _ in texts]
    scores = []
    for label in sorted({*truth, *found}):
        right = sum(t == f == label for t, f in zip(truth, found, strict=True))
        precision = right / found.count(label) if label in found else 0
        recall = right / truth.count(label) if label in truth else 0
        scores.append(2 * precision * recall / (precision + recall) if right else 0.0)
    return {
        "accuracy": sum(t == f for t, f in zip(truth, found, strict=True)) / len(texts),
        "f1": sum(scores) / len(scores),
        "labelAgreement": sum(e == f for e, f in zip(expected, found, strict=True)) / len(texts),
    }


def labelled(count: int = 60) -> list[tuple[str, str | int]]:
    """Three in four have the label that the original gives them; half of the labels are numbers."""
    found: list[tuple[str, str | int]] = []
    for number, text in enumerate(tiny.some_texts(count, 6)):
        label = (int(ORIGINAL.scores(text).argmax()) + (number % 4 == 0)) % 3
        found.append((text, label if number % 2 else LABELS[label]))
    return found


def test_figures_of_embeddings_are_those_of_an_independent_computation(tmp_path: Path) -> None:
    texts = tiny.some_texts(70, 5)
    others = [ORIGINAL.nudged(0.1), ORIGINAL.nudged(0.7)]
    folders = [write_encoder(tmp_path / str(number), w) for number, w in enumerate([ORIGINAL, *others])]
    found = measure("embeddings", folders, tiny.write_texts(tmp_path / "t.jsonl", texts))
    assert found["samples"] == {"texts": 70}
    assert found["reference"] == {}
    for result, weights in zip(found["candidates"], others, strict=True):
        assert values(result["figures"]) == pytest.approx(embeddings_by_hand(weights, texts), abs=1e-5)
        for name, (value, low, high) in result["figures"].items():
            assert low <= value <= high
            assert (low < high) == (name != "cosineMin")
    near, far = (result["figures"] for result in found["candidates"])
    assert near["cosineMean"][1] > far["cosineMean"][2]
    assert near["rankCorrelation"][1] > far["rankCorrelation"][2]


def test_the_same_texts_twice_are_ranked_alike(tmp_path: Path) -> None:
    texts = [*tiny.some_texts(12, 5), *tiny.some_texts(12, 5)]
    other = ORIGINAL.nudged(0.5)
    folders = [write_encoder(tmp_path / "o"), write_encoder(tmp_path / "c", other)]
    found = measure("embeddings", folders, tiny.write_texts(tmp_path / "t.jsonl", texts))
    figures = found["candidates"][0]["figures"]
    assert figures["rankCorrelation"][0] == pytest.approx(embeddings_by_hand(other, texts)["rankCorrelation"], abs=2e-3)


def test_an_encoder_beside_itself_loses_nothing_and_few_texts_prove_little(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "o")
    found = measure("embeddings", [folder, folder], tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts(20, 5)))
    figures = found["candidates"][0]["figures"]
    assert figures["cosineMean"] == pytest.approx([1.0, 1.0, 1.0])
    assert figures["cosineMin"] == [pytest.approx(1.0), None, None]
    assert figures["rankCorrelation"] == pytest.approx([1.0, 1.0, 1.0])
    assert figures["neighbourAgreement"] == pytest.approx([1.0, 0.8389, 1.0], abs=1e-4)  # Wilson's of 20 in 20


def test_two_texts_have_no_order_and_one_no_neighbour(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "o")
    for count, names in ((2, {"cosineMean", "cosineMin", "neighbourAgreement"}), (1, {"cosineMean", "cosineMin"})):
        data = tiny.write_texts(tmp_path / "t.jsonl", tiny.some_texts(count, 5))
        assert measure("embeddings", [folder, folder], data)["candidates"][0]["figures"].keys() == names


def test_figures_of_a_classifier_are_those_of_an_independent_computation(tmp_path: Path) -> None:
    texts = labelled()
    others = [ORIGINAL.nudged(0.1), ORIGINAL.nudged(0.7)]
    folders = [write_classifier(tmp_path / str(number), w) for number, w in enumerate([ORIGINAL, *others])]
    found = measure("text-classification", folders, write_labelled(tmp_path / "t.jsonl", texts))
    own = classification_by_hand(ORIGINAL, texts)
    assert own.pop("labelAgreement") == 1
    assert own["accuracy"] == 0.75
    assert values(found["reference"]) == pytest.approx(own)
    assert found["samples"] == {"texts": 60}
    for result, weights in zip(found["candidates"], others, strict=True):
        assert values(result["figures"]) == pytest.approx(classification_by_hand(weights, texts))
        for value, low, high in result["figures"].values():
            assert low <= value <= high
            assert 0.1 < high - low < 0.4


def test_a_label_that_nothing_has_or_gets_does_not_count(tmp_path: Path) -> None:
    texts = [
        (text, label)
        for text, label in labelled()
        if ORIGINAL.scores(text).argmax() != 2 and label not in (2, LABELS[2])
    ]
    folder = write_classifier(tmp_path / "o")
    found = measure("text-classification", [folder], write_labelled(tmp_path / "t.jsonl", texts))
    assert found["reference"]["f1"][0] == pytest.approx(classification_by_hand(ORIGINAL, texts)["f1"])


@pytest.mark.parametrize(
    ("label", "config", "why"),
    [
        ("angry", True, "a text has the label `angry`, which is none of the model's 3"),
        (3, True, "a text has the label `3`, which is none of the model's 3"),
        (-1, True, "a text has the label `-1`, which is none of the model's 3"),
        ("calm", False, "a text has the label `calm`, and no `id2label` in `config.json` says its number"),
    ],
)
def test_a_label_that_the_model_does_not_have_is_an_error(
    label: str | int, config: bool, why: str, tmp_path: Path
) -> None:
    folder = write_classifier(tmp_path / "o")
    if not config:
        (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=why):
        measure("text-classification", [folder], write_labelled(tmp_path / "t.jsonl", [("w1", label)]))


@pytest.mark.parametrize("task", ["embeddings", "text-classification"])
def test_a_candidate_that_fails_does_not_spoil_the_others(task: str, tmp_path: Path) -> None:
    write = write_encoder if task == "embeddings" else write_classifier
    nan = Weights(ORIGINAL.embeddings * np.float32(math.nan), ORIGINAL.labels)
    narrow = Weights(ORIGINAL.embeddings[:, :8], ORIGINAL.labels[:8, :2])
    folders = [write(tmp_path / name, w) for name, w in (("o", ORIGINAL), ("nan", nan), ("narrow", narrow))]
    garbage = write(tmp_path / "garbage")
    (garbage / "model.onnx").write_bytes(b"garbage")
    data = write_labelled(tmp_path / "t.jsonl", labelled())
    first, second, third, fourth = measure(task, [*folders, garbage, folders[0]], data)["candidates"]
    assert first == {"failed": f"its {'embeddings' if task == 'embeddings' else 'scores'} are not finite numbers"}
    assert set(second) == set(third) == {"failed"}
    assert fourth["golden"]["task"] == task


@pytest.mark.parametrize("task", ["embeddings", "text-classification"])
def test_reads_no_more_tokens_than_asked_and_no_blank_text(task: str, tmp_path: Path) -> None:
    folder = (write_encoder if task == "embeddings" else write_classifier)(tmp_path / "o")
    data = write_labelled(tmp_path / "t.jsonl", [("", 0), *labelled(), (" ", 1)])
    assert measure(task, [folder, folder], data)["samples"] == {"texts": 60}
    assert measure(task, [folder, folder], data, 6 * 10 + 5)["samples"] == {"texts": 10}
    blank = write_labelled(tmp_path / "b.jsonl", [("", 0), (" ", 1)])
    assert measure(task, [folder, folder], blank) == {"samples": {}}
