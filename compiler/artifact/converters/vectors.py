"""Embeddings from artifacts that onnxruntime does not run: by the vendor's runtime in the converter's environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from compiler.artifact.configuration import TOKENIZER, text_length
from compiler.artifact.converters.call import call
from compiler.artifact.converters.formats import RUNTIMES


def embeddings(
    root: Path, artifact: Path, model: Path, texts: Iterable[str], scratch: Path, *, plain: bool = False
) -> Iterator[Any]:
    """For each text its vector, float64, of length 1, as `Encoder.embeddings` gives it.

    `artifact` is the main file, `model` a folder with its tokenizer, `root` the folder of all environments; `plain` is
    the other way of formats in OTHER_WAYS. Raises what `call` raises.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    longest = text_length(model)
    ids = [found for text in texts if (found := tokenizer.encode(text).ids[:longest])]
    request = {"artifact": str(artifact.absolute()), "ids": ids, "pad": _pad_token(model), "plain": plain}
    for values in call(root, RUNTIMES[artifact.suffix], "embed", request, scratch, lambda share: None):
        vector = np.array(values, np.float64)
        yield vector / np.linalg.norm(vector)


def _pad_token(model: Path) -> int:
    """What goes behind the text where inputs are of fixed length; the mask hides it."""
    try:
        found = json.loads((model / "config.json").read_bytes()).get("pad_token_id")
    except (OSError, ValueError, AttributeError):
        return 0
    return found if isinstance(found, int) else 0
