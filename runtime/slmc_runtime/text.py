"""Token ids as text, bit by bit, up to a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TextStream:
    """The text of a continuation as its tokens come. What may be the beginning of a stop string is held back."""

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        self._stream = DecodeStream(skip_special_tokens=True)
        self._held = ""
        self.stopped = False
        """A stop string came: nothing after it, nor the string itself, is part of the text."""

    def add(self, token: int) -> str:
        """What can be said for sure after this token; a character of several tokens comes with its last one."""
        text = self._stream.step(self._tokenizer, token)
        if not text or not self._stops:
            return text or ""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            said, self._held = self._held[: min(found)], ""
            return said
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        cut = len(self._held) - keep
        said, self._held = self._held[:cut], self._held[cut:]
        return said

    def rest(self) -> str:
        """What was held back, when no more tokens come."""
        said, self._held = self._held, ""
        return said


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
