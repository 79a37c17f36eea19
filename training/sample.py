"""Let the exported model write.

python -m training.sample blueprints/hello/models/pydoc-1.0 'The "with" statement'
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def generate(folder: Path, prompt: str, tokens: int, temperature: float = 0.0) -> str:
    """`prompt` and at most `tokens` more from onnxruntime-genai; greedy when `temperature` is 0."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(folder))
    tokenizer = onnxruntime_genai.Tokenizer(model)
    tokenizer.update_options(add_special_tokens="true")
    ids = tokenizer.encode(prompt)
    parameters = onnxruntime_genai.GeneratorParams(model)
    options = {"max_length": len(ids) + tokens, "random_seed": 1}
    if temperature:
        options |= {"do_sample": True, "temperature": temperature}
    parameters.set_search_options(**options)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(ids)
    while not generator.is_done():
        generator.generate_next_token()
    return str(tokenizer.decode(generator.get_sequence(0)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.sample")
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--temperature", type=float, default=0.0)
    given = parser.parse_args()
    print(generate(given.folder, given.prompt, given.tokens, given.temperature))


if __name__ == "__main__":
    main()
