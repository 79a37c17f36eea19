"""Text generation over onnxruntime-genai: batch 1, one prompt after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slmc_runtime import libraries
from slmc_runtime.chat import Chat
from slmc_runtime.config import Run
from slmc_runtime.errors import ApiError, too_long
from slmc_runtime.refused import CONFIG, MODEL, Refused
from slmc_runtime.text import TextStream

_CONFIG, _TOKENIZER = "genai_config.json", "tokenizer.json"

_GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "min_length": 0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}
"""The likeliest token and nothing else, whatever the artifact's own settings are."""


_LEAST = 1e-6
"""A share of the probability so small that only the likeliest token is in it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """None is what the artifact's `genai_config.json` says under `search`. A temperature or `top_p` of 0 is greedy."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None

    def options(self) -> dict[str, Any]:
        # onnxruntime-genai takes a top_p that is 0 as float32 for none, and would draw from all tokens.
        if self.temperature == 0 or (self.top_p is not None and self.top_p < _LEAST):
            return {"do_sample": False}
        named = {"temperature": self.temperature, "top_p": self.top_p, "random_seed": self.seed}
        given = {name: value for name, value in named.items() if value is not None}
        return given | ({"do_sample": True} if {"temperature", "top_p"} & given.keys() else {})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A prompt with what is asked for. `prompt` is text, token ids, or the messages of a chat."""

    prompt: str | Sequence[int] | Sequence[Mapping[str, str]]
    most: int | None = None
    stops: Sequence[str] = ()
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(slots=True)
class Continuation:
    """Iterate over the pieces of text, of which some are empty. Then `finish` is `stop` or `length`."""

    prompt_tokens: int
    pieces: Iterator[str]
    tokens: int = 0
    """Generated until now, the one that ends the text included."""
    finish: str = "length"


class TextGenerator:
    """The model of a folder in the layout of onnxruntime-genai."""

    def __init__(self, run: Run) -> None:
        """Raises Refused, or what the library raises for a model that it cannot load."""
        from tokenizers import Tokenizer

        self._genai = libraries.genai()
        made_for, self._vocabulary, self._ends = _facts(run)
        if run.context_length > made_for:
            raise Refused(
                CONFIG, f"contextLength is {run.context_length}, and the model was made for {made_for} tokens"
            )
        config = self._genai.Config(str(run.folder))
        session = {"intra_op_num_threads": run.threads, "log_severity_level": libraries.LOG_FATAL}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self._model = self._genai.Model(config)
        self.tokenizer = Tokenizer.from_file(str(run.folder / _TOKENIZER))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self._chat = Chat(run.folder, self._genai, self._model)
        self._made_for, self._context, self._most = made_for, run.context_length, run.limits.output_tokens

    def continued(self, wanted: Wanted) -> Continuation:
        """Raises ApiError for a prompt that does not fit."""
        ids, param = self._ids(wanted.prompt)
        if not ids:
            raise ApiError(400, "The prompt is empty.", "empty_prompt", param)
        if len(ids) >= self._context:
            raise too_long(len(ids), self._context, param)
        most = min(wanted.most or self._most, self._most, self._context - len(ids))
        found = Continuation(len(ids), iter(()))
        found.pieces = self._pieces(found, ids, most, wanted)
        return found

    def first(self, ids: Sequence[int]) -> Any:
        """Logits of the token after these: vocabulary, float64."""
        generator = self._generator(len(ids) + 1, _GREEDY)
        generator.append_tokens(np.array(ids, np.int32))
        return generator.get_logits().reshape(-1).astype(np.float64)

    def greedy(self, ids: Sequence[int], most: int) -> list[int]:
        """The likeliest continuation, at most so many tokens."""
        generator = self._generator(min(len(ids) + most, self._made_for), _GREEDY)
        generator.append_tokens(np.array(ids, np.int32))
        found: list[int] = []
        while len(found) < most and not generator.is_done():
            generator.generate_next_token()
            found.append(int(generator.get_next_tokens()[0]))
        return found

    def _pieces(self, found: Continuation, ids: Sequence[int], most: int, wanted: Wanted) -> Iterator[str]:
        generator = self._generator(len(ids) + most, wanted.sampling.options())
        generator.append_tokens(np.array(ids, np.int32))
        text, ends = TextStream(self.tokenizer, wanted.stops), self._ends
        for _ in range(most):
            generator.generate_next_token()
            token = int(generator.get_next_tokens()[0])
            found.tokens += 1
            if token in ends:
                found.finish = "stop"
                yield text.rest()
                return
            said = text.add(token)
            if text.stopped:
                found.finish = "stop"
                yield said
                return
            yield said
        if last := text.rest():
            yield last

    def _generator(self, length: int, options: Mapping[str, Any]) -> Any:
        params = self._genai.GeneratorParams(self._model)
        params.set_search_options(**options, max_length=length, batch_size=1)
        return self._genai.Generator(self._model, params)

    def _ids(self, prompt: Any) -> tuple[list[int], str]:
        """The prompt's tokens, and the name of the parameter that it came as."""
        if isinstance(prompt, str):
            return list(self.tokenizer.encode(prompt).ids), "prompt"
        if prompt and isinstance(prompt[0], int):
            if max(prompt) >= self._vocabulary:
                raise ApiError(400, "The prompt has a token that the model does not know.", "invalid_token", "prompt")
            return list(prompt), "prompt"
        text = self._chat.prompt(prompt)
        return list(self.tokenizer.encode(text, add_special_tokens=not self._chat.templated).ids), "messages"


def _facts(run: Run) -> tuple[int, int, frozenset[int]]:
    """Context length, number of tokens and end tokens in the model's configuration. Raises Refused."""
    try:
        model = json.loads((run.folder / _CONFIG).read_bytes())["model"]
        context, vocabulary, ends = int(model["context_length"]), int(model["vocab_size"]), model["eos_token_id"]
        return context, vocabulary, frozenset(ends if isinstance(ends, list) else [ends])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(MODEL, f"the artifact has no usable {_CONFIG}: {type(error).__name__}") from None
