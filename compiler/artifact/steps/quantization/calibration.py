"""Runs the model on texts of the workspace, to see what values its products multiply.

One thread, batch 1, in the order of the file: the same machine sees the same values every time. Another kind of
processor adds up in another order, and its values differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ValueInfoProto, helper

from compiler.artifact.configuration import CONFIG, TOKENIZER, Unusable, context_length, folder_with
from compiler.artifact.evaluation import texts
from compiler.artifact.evaluation.calibration import LEAST_TEXTS
from compiler.artifact.graph import graphs
from compiler.artifact.inference import runtime
from compiler.artifact.inference.feeds import feeds
from compiler.artifact.reason import reason
from compiler.artifact.steps.step import Bench, Refused

KEY = "calibrate.data"
"""Of the file with the texts, in Bench.files."""

_BAD_DATA = "BAD_CALIBRATION_DATA"


@dataclass(slots=True)
class Calibration:
    """The model and the texts to run it on. Iterating runs it: the values of one text after the other, by name.

    A value is an array of float32, tokens × channels. Iterating raises Refused for texts that cannot be used: a line
    that is no text, too few, one that the model does not take or that gives NaN.
    """

    source: Path
    values: Sequence[str]
    bench: Bench
    samples: int
    max_tokens: int
    variable: Sequence[str] = ()
    """Initializers that `instead` may stand for."""
    instead: Mapping[str, Any] = field(default_factory=dict)
    """Arrays by the name of an initializer: what the next runs compute with."""
    beside: Path | None = None
    """The graph that the configuration lies beside, when `source` is a candidate without one."""
    _session: Any = field(init=False)

    def __post_init__(self) -> None:
        model = graphs.load(self.source, weights=False)
        known = {value.name for value in model.graph.output}
        model.graph.input.extend(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            for tensor in model.graph.initializer
            if tensor.name in self.variable
        )
        # Without a type: onnxruntime knows whether it is float32 or float16.
        model.graph.output.extend(ValueInfoProto(name=name) for name in self.values if name not in known)
        self._session = runtime.open_graph(model, self.source.parent, runtime.options("basic", threads=1))

    @classmethod
    def of(
        cls,
        source: Path,
        values: Sequence[str],
        parameters: Mapping[str, Any],
        bench: Bench,
        variable: Sequence[str] = (),
    ) -> Calibration:
        """With the parameters of CalibrateSpec."""
        samples, tokens = parameters.get("samples", 128), parameters.get("maxTokens", 128)
        return cls(source, values, bench, samples, tokens, variable)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        file = self.bench.files[KEY]
        lines = _Lines(file)
        seen = 0
        try:
            tokenizer, folder = self._folder(TOKENIZER) / TOKENIZER, self._folder(CONFIG)
            for feed in feeds(tokenizer, folder, self._session.get_inputs(), lines, self._most_tokens()):
                yield self._run(feed, lines.number)
                if (seen := seen + 1) == self.samples:
                    return
        except texts.BadLine as error:
            raise Refused(f"Line {error.number} of `{file.name}` is no text: {error}", _BAD_DATA, KEY) from None
        except Unusable as error:
            raise Refused(str(error)) from None
        if seen < (least := min(self.samples, LEAST_TEXTS)):
            raise Refused(f"`{file.name}` has {seen} texts; calibration takes at least {least}.", _BAD_DATA, KEY)

    def _folder(self, name: str) -> Path:
        return folder_with(name, self.beside or self.source, self.bench.model)

    def _most_tokens(self) -> int:
        try:
            return min(self.max_tokens, context_length(self._folder(CONFIG)))
        except Unusable:  # an encoder
            return self.max_tokens

    def _run(self, feed: Mapping[str, Any], number: int) -> Mapping[str, Any]:
        text = f"The text on line {number} of `{self.bench.files[KEY].name}`"
        try:
            found = dict(zip(self.values, self._session.run(list(self.values), {**feed, **self.instead}), strict=True))
        except Exception as error:
            raise Refused(f"{text} does not go through the model: {reason(error)}", _BAD_DATA, KEY) from None
        for name, value in found.items():
            if not np.isfinite(value).all():
                raise Refused(f"{text} makes `{name}` NaN or infinite.", _BAD_DATA, KEY)
        return {
            name: value.reshape(-1, value.shape[-1]).astype(np.float32, copy=False) for name, value in found.items()
        }


@dataclass(slots=True)
class _Lines:
    """The texts of a file; `number` is that of the last one's line."""

    path: Path
    number: int = 0

    def __iter__(self) -> Iterator[str]:
        for number, text in texts.numbered(self.path):
            self.number = number
            yield text
