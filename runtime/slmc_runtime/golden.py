"""The bundle's golden answers, computed anew on this device.

The same arithmetic as the compiler's, in float64 from the logits or the vector on: a number may be off by the bundle's
`tolerance`, a continuation and a label not at all, since the compiler left out what is nearly a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slmc_runtime.encoder import Encoder, log_softmax
from slmc_runtime.generation import TextGenerator
from slmc_runtime.refused import CONFIG, Refused

Model = TextGenerator | Encoder


@dataclass(frozen=True, slots=True)
class Found:
    """One answer. `difference` is the largest of its numbers; `fault` says what else is not as it was, if anything."""

    difference: float
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    tolerance: float
    answers: tuple[Found, ...]
    cosines: float = 0.0
    """The largest difference between cosines, of embeddings."""

    @property
    def passed(self) -> int:
        return sum(self._right(found) for found in self.answers)

    @property
    def failed(self) -> int:
        return len(self.answers) - self.passed

    @property
    def difference(self) -> float:
        """The largest of all; not a number when one is not."""
        return float(np.max([found.difference for found in self.answers] + [self.cosines]))

    @property
    def reason(self) -> str | None:
        """What is wrong first, None when nothing is."""
        for number, found in enumerate(self.answers, 1):
            if found.fault:
                return f"golden answer {number}: {found.fault}"
            if not self._right(found):
                return f"golden answer {number} is off by {found.difference:.4g}, and {self.tolerance:g} is allowed"
        if not self.cosines <= self.tolerance:
            return f"the cosines of golden answers are off by {self.cosines:.4g}, and {self.tolerance:g} is allowed"
        return None

    def _right(self, found: Found) -> bool:
        # A difference that is not a number is not within anything.
        return found.fault is None and found.difference <= self.tolerance


NOTHING = Verdict(0.0, ())


def check(model: Model, golden: Mapping[str, Any] | None, progress: Callable[[], None] = lambda: None) -> Verdict:
    """Answer all inputs again; `progress` is called after each. Raises Refused for what are no golden answers."""
    if golden is None:
        return NOTHING
    try:
        tolerance, answers = float(golden["tolerance"]), list(golden["answers"])
        if not math.isfinite(tolerance):
            raise ValueError("a tolerance that is no number")
        found: list[Found] = []
        vectors: list[Any] = []
        for one in _answers(model, golden["task"], answers, vectors):
            found.append(one)
            progress()
        return Verdict(tolerance, tuple(found), _cosines(vectors, golden.get("cosines", [])))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise Refused(CONFIG, f"golden.json has no usable golden answers: {type(error).__name__}") from None


def _answers(model: Model, task: str, answers: list[Any], vectors: list[Any]) -> Iterator[Found]:
    for answer in answers:
        if isinstance(model, TextGenerator):
            yield _generation(model, answer)
        elif task == "embeddings":
            vectors.append(_embedding(model, answer["text"]))
            yield Found(_largest(vectors[-1][: len(answer["components"])], answer["components"]))
        else:
            yield _classification(model, answer)


def _generation(model: TextGenerator, answer: Mapping[str, Any]) -> Found:
    ids = list(model.tokenizer.encode(answer["prompt"]).ids)
    row = log_softmax(model.first(ids))
    difference = _largest(row[answer["firstTokens"]], answer["logProbabilities"])
    expected = list(answer["tokens"])
    found = model.greedy(ids, len(expected)) if expected else []
    if found != expected:
        at = next((n for n, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), len(found))
        return Found(difference, f"its continuation differs from token {at + 1} on")
    if model.tokenizer.decode(expected) != answer["continuation"]:
        return Found(difference, "the tokenizer writes its tokens as another text")
    return Found(difference)


def _embedding(model: Encoder, text: str) -> Any:
    return model.embedding(model.tokenizer.encode(text).ids)


def _classification(model: Encoder, answer: Mapping[str, Any]) -> Found:
    row = model.log_probabilities(model.tokenizer.encode(answer["text"]).ids)
    difference = _largest(row[answer["labels"]], answer["logProbabilities"])
    if answer["label"] is not None and model.label(int(row.argmax())) != answer["label"]:
        return Found(difference, "its label is another")
    return Found(difference)


def _cosines(vectors: list[Any], expected: list[float]) -> float:
    found = [one @ other for at, one in enumerate(vectors) for other in vectors[at + 1 :]]
    return _largest(found, expected) if expected else 0.0


def _largest(found: Any, expected: Any) -> float:
    """The largest difference. Raises ValueError for lists of different lengths."""
    one, other = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if one.shape != other.shape or not one.size:
        raise ValueError("lists of different lengths")
    return float(np.abs(one - other).max())
