"""Task accuracy: prompts with an answer that the model has to give, or to choose."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import TOKENIZER, context_length
from compiler.artifact.evaluation.greedy import continuation, end_tokens, log_likelihood, piece_length, through
from compiler.artifact.evaluation.texts import Entry
from compiler.artifact.evaluation.windows import LONGEST_WINDOW
from compiler.artifact.inference.decoder import Decoder


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as tokens. With `choices`, tokens of each, `right` is the number of the right one."""

    ids: tuple[int, ...]
    answer: str
    most: int
    """Tokens of the continuation."""
    choices: tuple[tuple[int, ...], ...] = ()
    right: int = 0


class Examiner:
    """Asks models questions. `folder` is that of the model whose tokenizer and configuration count."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._context = min(context_length(folder), LONGEST_WINDOW)
        self._ends = end_tokens(folder)
        self._piece = piece_length(folder)

    def questions(self, entries: Iterable[Entry], max_tokens: int) -> Iterator[Question]:
        """Those of the prompts, until `max_tokens` of prompts and answers are read. Of long prompts, the end counts."""
        left = max_tokens
        for entry in entries:
            if entry.prompt is None:
                continue
            question = self._question(entry, entry.prompt)
            left -= len(question.ids) + sum(map(len, question.choices)) + (0 if question.choices else question.most)
            if left < 0:
                return
            yield question

    def is_right(self, decoder: Decoder, question: Question) -> bool:
        """Whether the likeliest choice is the right one, by the mean log-likelihood of its tokens; or whether the
        greedy continuation, up to its first line end, is the answer."""
        if question.choices:
            return self._chosen(decoder, question) == question.right
        ids: list[int] = []
        for step in continuation(decoder, question.ids, question.most, self._piece):
            if step.token in self._ends:
                break
            ids.append(step.token)
            if "\n" in self._tokenizer.decode(ids).lstrip():
                break
        said = self._tokenizer.decode(ids).strip()
        return normal(said.split("\n")[0]) == question.answer

    def _question(self, entry: Entry, prompt: str) -> Question:
        ids = self._ids(prompt)
        if entry.choices:
            choices = tuple(self._following(prompt, len(ids), choice) for choice in entry.choices)
            room = max(1, self._context - max(map(len, choices)))
            return Question(tuple(ids[-room:]), "", 0, choices, int(entry.answer))
        answer = str(entry.answer)
        most = min(2 * len(self._following(prompt, len(ids), answer)) + 8, self._context - 1)
        return Question(tuple(ids[-(self._context - most) :]), normal(answer), most)

    def _ids(self, prompt: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(prompt).ids
        return ids or [0]

    def _following(self, prompt: str, before: int, text: str) -> tuple[int, ...]:
        """The tokens of a text behind its prompt, as lm-evaluation-harness takes them."""
        ids = self._tokenizer.encode(prompt + text).ids[before:]
        ids = ids or self._tokenizer.encode(text, add_special_tokens=False).ids or [0]
        return tuple(ids[: self._context - 1])

    def _chosen(self, decoder: Decoder, question: Question) -> int:
        cache: Any = decoder.empty_cache()
        past = len(question.ids) - 1
        for _, grown in through(decoder, question.ids[:-1], 0, cache, self._piece):
            cache = grown
        last = question.ids[-1]
        means = [
            log_likelihood(decoder, (last, *choice), past, cache, self._piece) / len(choice)
            for choice in question.choices
        ]
        return means.index(max(means))


def normal(text: str) -> str:
    """NFKC, case folded, blanks as one, punctuation at both ends gone: what counts as the same answer."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    joined = " ".join(words)
    ends = [at for at, character in enumerate(joined) if not unicodedata.category(character).startswith("P")]
    return joined[ends[0] : ends[-1] + 1].strip() if ends else joined
