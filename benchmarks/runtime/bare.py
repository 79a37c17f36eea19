"""A loop of onnxruntime-genai and nothing around it: `python bare.py FOLDER THREADS PROMPT TOKENS SECONDS`.

Prints tokens per second of whole requests (tokenize, read the prompt, generate, decode), and CPU seconds per 1000
tokens.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime_genai as genai


def answer(model: object, tokenizer: object, prompt: str, most: int) -> int:
    """As in the library's own examples. The tokens that were generated."""
    ids = tokenizer.encode(prompt)  # type: ignore[attr-defined]
    stream = tokenizer.create_stream()  # type: ignore[attr-defined]
    params = genai.GeneratorParams(model)
    params.set_search_options(max_length=len(ids) + most, do_sample=False, batch_size=1)
    generator = genai.Generator(model, params)
    generator.append_tokens(ids)
    count = 0
    while not generator.is_done():
        generator.generate_next_token()
        stream.decode(generator.get_next_tokens()[0])
        count += 1
    return count


def main() -> None:
    folder, threads, prompt, most, seconds = sys.argv[1:]
    config = genai.Config(folder)
    session = {"intra_op_num_threads": int(threads)}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    model = genai.Model(config)
    tokenizer = genai.Tokenizer(model)
    answer(model, tokenizer, prompt, int(most))
    tokens, begun, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < float(seconds):
        tokens += answer(model, tokenizer, prompt, int(most))
    wall, used = time.perf_counter() - begun, time.process_time() - cpu
    print(json.dumps({"rate": tokens / wall, "cpu": 1000 * used / tokens}))


if __name__ == "__main__":
    main()
