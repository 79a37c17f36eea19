"""Text from a model's folder, as onnxruntime-genai loads it."""

from __future__ import annotations

from pathlib import Path

import pytest


def generated(folder: Path, prompt: str) -> str:
    """The prompt and what follows it, 24 tokens in all. Skips where onnxruntime-genai is not installed."""
    genai = pytest.importorskip("onnxruntime_genai")
    loaded = genai.Model(str(folder))
    tokenizer, parameters = genai.Tokenizer(loaded), genai.GeneratorParams(loaded)
    parameters.set_search_options(max_length=24)
    generator = genai.Generator(loaded, parameters)
    generator.append_tokens(tokenizer.encode(prompt))
    while not generator.is_done():
        generator.generate_next_token()
    return str(tokenizer.decode(generator.get_sequence(0)))
