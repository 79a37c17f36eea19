"""The texts that an encoder is measured on."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.artifact.configuration import TOKENIZER, text_length
from compiler.artifact.evaluation import texts
from compiler.artifact.evaluation.request import Request
from compiler.artifact.evaluation.texts import Entry


def taken(request: Request, task: str) -> Iterator[Entry]:
    """The entries with a token or more, until `max_tokens` are read; what is cut off a long text does not count."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(request.reference / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    left, longest = request.max_tokens, text_length(request.reference)
    for entry in texts.entries(request.data, task):
        count = min(longest, len(tokenizer.encode(entry.text or "").ids))
        left -= count
        if left < 0:
            return
        if count:
            yield entry
